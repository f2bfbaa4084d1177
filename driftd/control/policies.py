"""The policies in force: published to the store by compare-and-set, read from there alone."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec
import structlog

from agents.commands import Decided
from agents.ids import op_id
from driftd.control.reading import NOTE
from driftd.errors import DriftdError
from driftd.store.policies import MovedError
from driftd.store.rows import PolicyRow
from driftd.store.store import Store
from driftd.telemetry import Complaints
from driftd.yamlfile import Located, parse_yaml
from policies.checker import check
from policies.clashes import Platform
from policies.specs import ModelSpec

log = structlog.get_logger()

MISTAKES_TOLD_MAX = 20
PUBLISH_TRIES = 5


class PolicyError(DriftdError):
    """A published policy no longer compiles; publish it again with this version of driftd."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a file stands to what is in force. ``holds``: the newest revision with its content."""

    holds: int
    in_force: int
    published: bool = False

    @property
    def stale(self) -> bool:
        """Whether the file says something else than the policy in force."""
        return self.holds != self.in_force


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

    def publish(
        self,
        *,
        model: str,
        text: str,
        digest: str,
        by: str,
        spec: ModelSpec,
        expect: int | None = None,
    ) -> int:
        """Make this text the policy of its model; the same content keeps its revision. Raises
        ``MovedError`` where another revision than ``expect`` is in force."""
        plain = msgspec.json.encode(_plain(spec))
        publish = self._store.policies.publish
        revision = publish(model, text, digest, by, plain, expect=expect)
        self._on_published(model)
        return revision

    def publish_text(
        self, text: str, by: str, expect: int | None = None
    ) -> tuple[int, tuple[str, ...]]:
        """Check and publish, whatever is in force (a person asks); the revision, or 0 and every
        mistake as ``line:column: …``. ``expect`` as for ``publish``."""
        file = parse_yaml(text)
        spec, mistakes = check(file.values, self._platform)
        located = file.locate(mistakes)
        if spec is None or located:
            return 0, tuple(f"{one.mark.line}:{one.mark.column}: {one.mistake}" for one in located)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        revision = self.publish(
            model=spec.model, text=text, digest=digest, by=by, spec=spec, expect=expect
        )
        return revision, ()

    def publish_file(
        self, *, text: str, digest: str, by: str, spec: ModelSpec, before: str
    ) -> Standing:
        """Publish what a watched file says, unless that would take a newer revision back.

        Several workers read several copies of a directory, and a copy may be old. So a content is
        published if the model never had it, or if the file changed to it from what is in force now
        (``before``: the digest that this worker saw there): then a person put it back. All else
        stays as it is and is told; ``driftd apply`` publishes it on purpose.
        """
        store, model = self._store.policies, spec.model
        for _ in range(PUBLISH_TRIES):
            revision, in_force = store.heads().get(model, (0, ""))
            if in_force == digest:
                return Standing(holds=revision, in_force=revision)
            known = store.revision_of(model, digest)
            if known and in_force != before:
                return Standing(holds=known, in_force=revision)
            try:
                new = self.publish(
                    model=model, text=text, digest=digest, by=by, spec=spec, expect=revision
                )
            except MovedError:
                # Somebody published at this very moment; what to do depends on what it was.
                continue
            return Standing(holds=new, in_force=new, published=True)
        raise RuntimeError(f"policy of {model}: {PUBLISH_TRIES} others published at this moment")

    def heads(self) -> dict[str, tuple[int, str]]:
        """model -> (revision, digest) in force."""
        return self._store.policies.heads()

    def refuse(self, file: str, model: str, mistakes: tuple[Located, ...]) -> None:
        """Write into the journal of the model that the new content of ``file`` was refused, so that
        a person reads it where the model is looked at; the same mistakes once a revision in force.

        ``model`` is what the file says or said; where it says none, the model whose policy came
        from the file. A model without a policy has no journal to stand in."""
        for row in self._store.policies.all():
            if row.model != model and (model or row.by != file_author(file)):
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
