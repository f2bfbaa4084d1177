"""Watches a directory of policies: a good change is published, a bad one is told and changes nothing."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import structlog
import watchfiles

from driftd.control.policies import Standing, file_author
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


class Book(Protocol):
    """Where policies are published; see ``PolicyBook``. Called in a worker thread; what raises is
    tried again."""

    def publish_file(
        self, *, text: str, digest: str, by: str, spec: ModelSpec, before: str
    ) -> Standing:
        """Publish it, or leave it because it is old."""
        ...

    def heads(self) -> Mapping[str, tuple[int, str]]:
        """model -> (revision, digest) in force."""
        ...

    def refuse(self, file: str, model: str, mistakes: tuple[Located, ...]) -> None:
        """Tell in the model's journal that the file was refused."""
        ...


OnRefused = Callable[[str], None]
OnGone = Callable[[str, str], None]
Changes = Callable[[Path], AsyncIterator[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What a file held when it was last dealt with. ``model``: what it stands for, empty if it was
    refused at once; ``good``: its last content without a mistake; ``holds``: the revision that has
    this content, 0 for a refused one; ``in_force``: what is in force in its place, 0 if its own."""

    content: str
    model: str
    good: str = ""
    holds: int = 0
    in_force: int = 0
    mistake: str = ""


async def file_changes(folder: Path) -> AsyncIterator[Any]:
    """Something in the folder may have changed. What it is does not matter: all of it is read."""
    async for change in watchfiles.awatch(
        folder, debounce=DEBOUNCE_MS, rust_timeout=LOOK_AGAIN_MS, yield_on_timeout=True
    ):
        yield change


class PolicyWatch:
    """One directory of ``*.yaml``, one file a model. Nothing is ever taken out of force: what a
    refused or deleted file said before stays until another revision is published; nor does an old
    copy of a file take a newer revision back (see ``PolicyBook.publish_file``).

    ``on_refused(file)`` is called once a content (again, if the book could not be told of it),
    ``on_gone(file, model)`` when a file was deleted or turned to another model.
    """

    def __init__(
        self,
        folder: Path,
        book: Book,
        *,
        on_refused: OnRefused = lambda _file: None,
        on_gone: OnGone = lambda _file, _model: None,
        platform: Platform | None = None,
        changes: Changes = file_changes,
    ) -> None:
        self._folder = folder
        self._book = book
        self._on_refused = on_refused
        self._on_gone = on_gone
        self._platform = platform
        self._changes = changes
        self._seen: dict[str, _Seen] = {}
        # A file that an editor takes away and puts back is still the file that it was.
        self._gone: dict[str, _Seen] = {}

    @property
    def stale(self) -> frozenset[str]:
        """The files that say something else than the policy in force."""
        return frozenset(name for name, seen in dict(self._seen).items() if seen.in_force)

    @property
    def refused(self) -> frozenset[str]:
        """The files whose present content is refused."""
        return frozenset(name for name, seen in dict(self._seen).items() if seen.mistake)

    def notices(self) -> tuple[str, ...]:
        """What a person should know of the files, one line each."""
        told = []
        for name, seen in sorted(dict(self._seen).items()):
            if seen.mistake:
                told.append(f"{name} is refused and changes nothing: {seen.mistake}")
            elif seen.in_force:
                told.append(
                    f"{name} holds revision {seen.holds} of {seen.model}, revision "
                    f"{seen.in_force} is in force: bring the file up to date, or publish it on "
                    f"purpose: driftd apply {name}"
                )
        return tuple(told)

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
            gone = self._gone[name] = self._seen.pop(name)
            while len(self._gone) > FILES_MAX:
                self._gone.pop(next(iter(self._gone)))
            if gone.model:
                self._tell_gone(name, gone.model)
        for path in files:
            self._file(path)
        self._compare()

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
        before = before or self._gone.get(path.name) or _Seen(content="", model="")
        text, spec, mistakes = self._checked(content, path.name)
        if spec is None:
            self._refuse(path.name, text, mistakes, replace(before, content=digest))
        else:
            self._publish(path.name, text, digest, spec, before)

    def _publish(self, name: str, text: str, digest: str, spec: ModelSpec, before: _Seen) -> None:
        # What the file said of another model is no state of this one.
        good = before.good if before.model == spec.model else ""
        try:
            standing = self._book.publish_file(
                text=text, digest=digest, by=file_author(name), spec=spec, before=good
            )
        except Exception as error:  # noqa: BLE001 - a store that is away must not end the watch
            log.warning("policy not published", file=name, error=str(error), again=True)
            return
        seen = self._seen[name] = _Seen(
            content=digest,
            model=spec.model,
            good=digest,
            holds=standing.holds,
            in_force=standing.in_force if standing.stale else 0,
        )
        if standing.stale:
            log.warning("policy file is old", file=name, model=spec.model, **_revisions(seen))
        else:
            what = "policy published" if standing.published else "policy in force"
            log.info(what, file=name, model=spec.model, revision=standing.holds)
        if before.model not in ("", spec.model):
            self._tell_gone(name, before.model)

    def _refuse(self, name: str, text: str, mistakes: tuple[Located, ...], before: _Seen) -> None:
        try:
            self._book.refuse(name, _model_of(text) or before.model, mistakes)
        except Exception as error:  # noqa: BLE001 - a store that is away must not end the watch
            log.warning("policy refusal not told", file=name, error=str(error), again=True)
            return
        self._on_refused(name)
        first = mistakes[0].text(name)
        self._seen[name] = replace(before, holds=0, in_force=0, mistake=first)
        log.warning("policy refused", file=name, mistakes=len(mistakes), in_force=before.model)

    def _compare(self) -> None:
        """Which files others have overtaken: by ``driftd apply``, or from a newer copy."""
        try:
            heads = self._book.heads()
        except Exception as error:  # noqa: BLE001 - a store that is away must not end the watch
            log.debug("policy files not compared", error=str(error))
            return
        for name, seen in self._seen.items():
            revision, digest = heads.get(seen.model, (0, ""))
            if seen.mistake or not revision:
                continue
            if digest == seen.content:
                self._seen[name] = replace(seen, holds=revision, in_force=0)
            elif seen.in_force != revision:
                now = self._seen[name] = replace(seen, in_force=revision)
                log.info("policy file overtaken", file=name, model=seen.model, **_revisions(now))

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
        self._on_gone(file, model)


def _whole_file(why: str) -> tuple[Located, ...]:
    return (Located(Mark(1, 1), Mistake((), f"the file {why}")),)


def _revisions(seen: _Seen) -> dict[str, Any]:
    todo = "bring it up to date, or publish it on purpose with driftd apply"
    return {"holds": seen.holds, "in_force": seen.in_force, "todo": todo}


def _model_of(text: str) -> str:
    """The model that a file with mistakes names, where it is readable that far."""
    values = parse_yaml(text).values
    model = values.get("model") if isinstance(values, Mapping) else None
    return model if isinstance(model, str) else ""
