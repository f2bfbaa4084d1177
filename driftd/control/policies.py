"""The policies in force: published to the store by compare-and-set, read from there alone."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import msgspec
import structlog

from agents.commands import Decided
from agents.ids import op_id
from driftd.control.reading import NOTE
from driftd.errors import DriftdError
from driftd.store.rows import PolicyRow
from driftd.store.store import Store
from driftd.telemetry import Complaints
from driftd.yamlfile import Located, parse_yaml
from policies.checker import check
from policies.clashes import Platform
from policies.specs import ModelSpec

log = structlog.get_logger()

MISTAKES_TOLD_MAX = 20


class PolicyError(DriftdError):
    """A published policy no longer compiles; publish it again with this version of driftd."""


class PolicyBook:
    """Compiled policies by revision. Reads are cheap: only a new revision is compiled."""

    def __init__(
        self,
        store: Store,
        platform: Platform | None = None,
        on_published: Callable[[str], None] = lambda _model: None,
    ) -> None:
        self._store = store
        self._platform = platform
        self._on_published = on_published
        self._complaints = Complaints(log)
        self._compiled: dict[str, ModelSpec] = {}

    def publish(self, *, model: str, text: str, digest: str, by: str, spec: ModelSpec) -> int:
        """Make this text the policy of its model; the same content keeps its revision."""
        plain = msgspec.json.encode(_plain(spec))
        revision = self._store.policies.publish(model, text, digest, by, plain)
        self._on_published(model)
        return revision

    def publish_text(self, text: str, by: str) -> tuple[int, tuple[str, ...]]:
        """Check and publish; the revision, or 0 and every mistake as ``line:column: …``."""
        file = parse_yaml(text)
        spec, mistakes = check(file.values, self._platform)
        located = file.locate(mistakes)
        if spec is None or located:
            return 0, tuple(f"{one.mark.line}:{one.mark.column}: {one.mistake}" for one in located)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        return self.publish(model=spec.model, text=text, digest=digest, by=by, spec=spec), ()

    def refuse(self, file: str, mistakes: tuple[Located, ...]) -> None:
        """Write into the journal of the model whose policy came from ``file`` that its new content
        was refused, so that a person reads it where the model is looked at; the same mistakes once
        a revision in force. A file that no policy in force came from has no journal to stand in."""
        for row in self._store.policies.all():
            if row.by != file_author(file):
                continue
            lines = [one.text(file) for one in mistakes]
            count = "1 mistake" if len(lines) == 1 else f"{len(lines)} mistakes"
            line = Decided(
                at=0.0,
                what="refuse policy",
                why=f"{file} has {count}; revision {row.revision} stays in force: {lines[0]}",
                by=file_author(file),
                evidence={"mistakes": lines[:MISTAKES_TOLD_MAX], "revision": row.revision},
            )
            once = op_id("refuse policy", row.model, row.revision, *lines)
            if self._store.inbox.put(row.model, NOTE, msgspec.json.encode(line), once):
                self._on_published(row.model)

    def specs(self) -> dict[str, ModelSpec]:
        """Every model's spec in force, with its revision and digest filled in. One that no longer
        compiles is left out and told: it must not stop the others."""
        found = {}
        for row in self._store.policies.all():
            try:
                found[row.model] = self._compile(row)
            except PolicyError as error:
                self._complaints.say(row.model, "leave policy", model=row.model, why=str(error))
        return found

    def spec(self, model: str) -> ModelSpec | None:
        """One model's spec in force, or None where no policy was published."""
        row = self._store.policies.current(model)
        return None if row is None else self._compile(row)

    def _compile(self, row: PolicyRow) -> ModelSpec:
        known = self._compiled.get(row.model)
        if known is not None and (known.revision, known.digest) == (row.revision, row.digest):
            return known
        spec, mistakes = check(parse_yaml(row.text).values)
        if spec is None:
            told = "; ".join(str(mistake) for mistake in mistakes)
            raise PolicyError(f"policy {row.model} revision {row.revision}: {told}")
        compiled = replace(spec, revision=row.revision, digest=row.digest)
        self._compiled[row.model] = compiled
        return compiled


def file_author(file: str) -> str:
    """Who published a policy that came from a file of the watched directory."""
    return f"file {file}"


def _plain(spec: ModelSpec) -> object:
    # Frozen sets have no JSON form; their order must not depend on the process.
    return msgspec.to_builtins(spec, enc_hook=sorted)
