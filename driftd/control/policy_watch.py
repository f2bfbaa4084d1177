"""Watches a directory of policies: a good change is published, a bad one is told and changes nothing."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import structlog
import watchfiles

from driftd.control.policies import file_author
from driftd.errors import MistakeError
from driftd.yamlfile import Located, Mark, parse_yaml
from policies.checker import check
from policies.clashes import Platform
from policies.mistakes import Mistake
from policies.specs import ModelSpec

DEBOUNCE_MS = 400
# Some file systems send no events, and a publication that failed is tried again: look anyway.
LOOK_AGAIN_MS = 5_000
FILE_BYTES_MAX = 2**20
FILES_MAX = 1_000

log = structlog.get_logger(__name__)


class Publish(Protocol):
    """Makes a text the policy of its model. Called in a worker thread; may raise, is tried again."""

    def __call__(self, *, model: str, text: str, digest: str, by: str, spec: ModelSpec) -> Any:
        """Returns the revision."""
        ...


OnRefused = Callable[[str, tuple[Located, ...]], None]
OnGone = Callable[[str, str], None]
Changes = Callable[[Path], AsyncIterator[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What a file held when it was last dealt with; ``model`` is empty if it was refused at once."""

    content: str
    model: str


async def file_changes(folder: Path) -> AsyncIterator[Any]:
    """Something in the folder may have changed. What it is does not matter: all of it is read."""
    async for change in watchfiles.awatch(
        folder, debounce=DEBOUNCE_MS, rust_timeout=LOOK_AGAIN_MS, yield_on_timeout=True
    ):
        yield change


class PolicyWatch:
    """One directory of ``*.yaml``, one file a model. Nothing is ever taken out of force: what a
    refused or deleted file said before stays until another revision is published.

    ``on_refused(file, mistakes)`` is called once a content (again, if it raises); ``on_gone(file, model)`` when a file
    was deleted or turned to another model.
    """

    def __init__(
        self,
        folder: Path,
        *,
        publish: Publish,
        on_refused: OnRefused,
        on_gone: OnGone | None = None,
        platform: Platform | None = None,
        changes: Changes = file_changes,
    ) -> None:
        self._folder = folder
        self._publish = publish
        self._on_refused = on_refused
        self._on_gone = on_gone
        self._platform = platform
        self._changes = changes
        self._seen: dict[str, _Seen] = {}

    async def run(self) -> None:
        """Until cancelled. Raises ``MistakeError`` when the directory cannot be made."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MistakeError(f"policies: {self._folder} is no directory: {error}") from error
        await asyncio.to_thread(self.look)
        async for _ in self._changes(self._folder):
            await asyncio.to_thread(self.look)

    def look(self) -> None:
        """Read every file and deal with those whose content is new. Blocks; raises nothing."""
        files = sorted(self._folder.glob("*.yaml"))[:FILES_MAX]
        names = {path.name for path in files}
        for name in sorted(set(self._seen) - names):
            gone = self._seen.pop(name)
            if gone.model:
                self._tell_gone(name, gone.model)
        for path in files:
            self._file(path)

    def _file(self, path: Path) -> None:
        try:
            content = path.read_bytes()
        except OSError:
            # It went away between the listing and now; the next look sees that.
            return
        digest = hashlib.sha256(content).hexdigest()[:16]
        before = self._seen.get(path.name)
        if before is not None and before.content == digest:
            return
        text, spec, mistakes = self._checked(content, path.name)
        model = spec.model if spec is not None else (before.model if before else "")
        if spec is None:
            self._refuse(path.name, mistakes, _Seen(content=digest, model=model))
            return
        try:
            revision = self._publish(
                model=spec.model, text=text, digest=digest, by=file_author(path.name), spec=spec
            )
        except Exception as error:  # noqa: BLE001 - a store that is away must not end the watch
            log.warning("policy not published", file=path.name, error=str(error), again=True)
            return
        self._seen[path.name] = _Seen(content=digest, model=spec.model)
        log.info("policy published", file=path.name, model=spec.model, revision=revision)
        if before is not None and before.model not in ("", spec.model):
            self._tell_gone(path.name, before.model)

    def _refuse(self, name: str, mistakes: tuple[Located, ...], seen: _Seen) -> None:
        try:
            self._on_refused(name, mistakes)
        except Exception as error:  # noqa: BLE001 - a store that is away must not end the watch
            log.warning("policy refusal not told", file=name, error=str(error), again=True)
            return
        self._seen[name] = seen
        log.warning("policy refused", file=name, mistakes=len(mistakes), in_force=seen.model)

    def _checked(
        self, content: bytes, name: str
    ) -> tuple[str, ModelSpec | None, tuple[Located, ...]]:
        if len(content) > FILE_BYTES_MAX:
            return "", None, _whole_file(f"is larger than {FILE_BYTES_MAX} bytes")
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            return "", None, _whole_file(f"is not UTF-8: {error.reason} at byte {error.start}")
        file = parse_yaml(text)
        if file.values is None:
            return text, None, file.locate(())
        spec, found = check(file.values, self._platform)
        owner = next(
            (
                other
                for other, seen in sorted(self._seen.items())
                if spec is not None and other != name and seen.model == spec.model
            ),
            "",
        )
        if spec is not None and owner:
            why = f"{spec.model} has its policy in {owner} already; one file a model"
            found = (Mistake(("model",), why),)
        located = file.locate(found)
        return text, None if located else spec, located

    def _tell_gone(self, file: str, model: str) -> None:
        log.warning("policy file gone", file=file, model=model, in_force=model)
        if self._on_gone is not None:
            self._on_gone(file, model)


def _whole_file(why: str) -> tuple[Located, ...]:
    return (Located(Mark(1, 1), Mistake((), f"the file {why}")),)
