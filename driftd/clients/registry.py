"""The MLflow registry: aliases as a projection of our journal, every call bounded in time."""

import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from agents.commands import MarkChallenger, MoveAlias, TagVersion
from driftd.clients.bounded import OPEN_MAX, Deadline
from driftd.clients.environment import log_in
from driftd.clients.steps import Steps, make_client
from driftd.errors import RefusedError
from driftd.sections import MlflowSettings

OP_ID_TAG = "driftd.op_id"
PROFILE_FOLDER, PROFILE_FILE = "driftd", "profile.bin"
PROFILE_BYTES_MAX = 64 * 1024 * 1024


def open_registry(settings: MlflowSettings) -> "Registry":
    """The registry of the settings, logged in. Raises ``MistakeError`` for a missing password."""
    log_in(settings)
    return Registry(settings.tracking_uri, settings.deadline_s)


class Registry:
    """One registry server. Methods block, at most ``deadline_s`` each; call them in a thread.

    All raise ``UnreachableError`` (try again) or ``RefusedError`` (the answer is no). Nothing is
    ever deleted: a bot with EDIT rights is enough.
    """

    def __init__(self, tracking_uri: str, deadline_s: float = 20.0) -> None:
        self.tracking_uri = tracking_uri
        self._deadline_s = deadline_s
        # Apart: a store of files that hangs must not keep the way back from the aliases.
        self._open_calls = threading.BoundedSemaphore(OPEN_MAX)
        self._open_files = threading.BoundedSemaphore(OPEN_MAX)
        self._client: Any = None

    def aliases(self, name: str) -> dict[str, str]:
        """alias -> version; empty where the registry does not know the model (yet)."""
        return self.steps(f"reading the aliases of {name}").aliases(name)

    def version_by_op_id(self, name: str, op_id: str) -> str | None:
        """The version that carries this op_id; of several (a job that ran twice) the oldest."""
        steps = self.steps(f"searching {name} for op_id {op_id}")
        wanted = f"name = '{quoted(name)}' and tags.`{OP_ID_TAG}` = '{quoted(op_id)}'"
        found = steps.call("search_model_versions", wanted, max_results=100)
        if not found:
            # A search leaves out what its user may not see; reading the model says so.
            steps.aliases(name)
        return min((str(version.version) for version in found), key=int, default=None)

    def missing(self, name: str, versions: Iterable[str]) -> tuple[str, ...]:
        """Those of ``versions`` that were deleted, or never were."""
        steps = self.steps(f"looking for versions of {name}")
        return tuple(version for version in versions if not steps.exists(name, version))

    def tags(self, name: str, version: str) -> dict[str, str]:
        """The tags of a version. Refused if it does not exist."""
        return dict(self.steps(f"reading {name} {version}").version(name, version).tags)

    def run_id(self, name: str, version: str) -> str:
        """The run that a version came from; empty where it has none."""
        return self.steps(f"reading {name} {version}").version(name, version).run_id or ""

    def move_champion(self, command: MoveAlias) -> dict[str, str]:
        """Read, ``previous``, ``champion``, read back, tag. Finishes what a crash left half-done.

        The outbox row of the command is the journal's intent. MLflow has no compare-and-set:
        the alias is read first and afterwards, and a value that is neither ``expect`` nor ``to``
        is a foreign hand's: nothing (more) is written. Returns ``champion`` and ``previous``.
        """
        name, alias = command.registry, command.champion_alias
        steps = self.steps(f"moving {alias} of {name} to {command.to}")
        held = steps.aliases(name).get(alias, "")
        nobodys = command.fills and not held
        if held not in (command.expect, command.to) and not nobodys:
            raise RefusedError(_foreign(name, alias, held, command))
        steps.loadable(name, command.to)
        # The way back is written first, so that no crash can lose it.
        if command.previous and steps.exists(name, command.previous):
            steps.point(name, command.previous_alias, command.previous)
        if held != command.to:
            steps.point(name, alias, command.to)
        now = steps.aliases(name)
        if now.get(alias, "") != command.to:
            raise RefusedError(_foreign(name, alias, now.get(alias, ""), command))
        for version, tags in sorted(command.tags.items()):
            # The move is done; what was deleted meanwhile needs no tag.
            if version == command.to or steps.exists(name, version):
                steps.tag(name, version, tags)
        return {"champion": command.to, "previous": now.get(command.previous_alias, "")}

    def mark(self, command: MarkChallenger) -> dict[str, str]:
        """Point the challenger alias at a version that exists, and tag it."""
        name, version = command.registry, command.version
        steps = self.steps(f"marking {name} {version} as {command.challenger_alias}")
        steps.loadable(name, version)
        steps.point(name, command.challenger_alias, version)
        steps.tag(name, version, command.tags)
        return {"version": version}

    def tag(self, command: TagVersion) -> dict[str, str]:
        """Set tags on a version that exists."""
        steps = self.steps(f"tagging {command.registry} {command.version}")
        steps.version(command.registry, command.version)
        steps.tag(command.registry, command.version, command.tags)
        return {"version": command.version}

    def profile_bytes(self, name: str, version: str) -> bytes | None:
        """The reference profile logged with a version's run; None where none was logged."""
        steps = self.steps(f"fetching the profile of {name} {version}", self._open_files)
        run_id = steps.version(name, version).run_id
        path = f"{PROFILE_FOLDER}/{PROFILE_FILE}"
        listed = steps.call("list_artifacts", run_id, PROFILE_FOLDER) if run_id else []
        entry = next((item for item in listed if item.path == path), None)
        if entry is None:
            return None
        if (entry.file_size or 0) > PROFILE_BYTES_MAX:
            raise RefusedError(
                f"the profile of {name} {version} has {entry.file_size} bytes, "
                f"at most {PROFILE_BYTES_MAX} are read; log it again with fewer columns"
            )
        with tempfile.TemporaryDirectory(prefix="driftd-profile-") as folder:
            return Path(steps.call("download_artifacts", run_id, path, folder)).read_bytes()

    def log_profile(self, name: str, version: str, profile: bytes) -> None:
        """Log a profile with the run of a version; the same call twice leaves one file."""
        steps = self.steps(f"logging the profile of {name} {version}", self._open_files)
        run_id = steps.version(name, version).run_id
        if not run_id:
            raise RefusedError(
                f"{name} {version} has no run to log a profile with; register it from a run "
                "(mlflow.<flavour>.log_model inside mlflow.start_run)"
            )
        with tempfile.TemporaryDirectory(prefix="driftd-profile-") as folder:
            file = Path(folder) / PROFILE_FILE
            file.write_bytes(profile)
            steps.call("log_artifact", run_id, str(file), PROFILE_FOLDER)

    def steps(self, what: str, open_calls: threading.BoundedSemaphore | None = None) -> Steps:
        """The calls of one operation, ``what`` in words; a fresh deadline for all of them."""
        deadline = Deadline(
            f"{what} at {self.tracking_uri}", self._deadline_s, open_calls or self._open_calls
        )
        if self._client is None:
            self._client = deadline.call(make_client, self.tracking_uri)
        return Steps(self._client, deadline, what)


def _foreign(name: str, alias: str, held: str, command: MoveAlias) -> str:
    return (
        f"{alias} of {name} names {_version(held)}; {_version(command.expect)} was expected before "
        f"and {_version(command.to)} after the move: a foreign hand moved it, "
        f"so {_version(command.to)} was not put in its place"
    )


def _version(version: str) -> str:
    return f"version {version}" if version else "no version"


def quoted(text: str) -> str:
    """A text as it stands in a search's filter."""
    return text.replace("'", "''")
