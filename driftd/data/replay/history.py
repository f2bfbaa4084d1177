"""A baseline from recorded history: what the daemon would have learned, had it watched then."""

import zlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import pyarrow as pa

from agents.codec import layout_marks
from agents.events import PaneClosed
from agents.watching.fitted import Fitted
from agents.watching.learning import PANES_MAX, PANES_MIN, SPAN_MAX_S, SPAN_MIN_S, learn
from agents.watching.streams import PaneCounts, layouts_of, merge, streams_of
from detectors.baseline import EVENTS_MIN
from detectors.profile import Profile
from driftd.data.replay.buckets import Buckets
from driftd.data.replay.roles import Roles
from driftd.data.replay.sources import Batches, Progress, Span, answered, timed
from driftd.errors import MistakeError
from policies.specs import ModelSpec

FORMAT = 1
MAGIC = b"driftd-baseline\n"


class _Stored(msgspec.Struct, kw_only=True):
    """Fields may only be added, with a default."""

    format: int = FORMAT
    model: str
    pane_s: float
    fitted: bytes
    profile: bytes
    marks: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A baseline with what it rests on: the model's profile, whose cells it was counted in, as
    ``marks`` (stream -> mark of its layout), and the length of the panes it was learned from."""

    model: str
    pane_s: float
    fitted: Fitted
    profile: Profile
    marks: Mapping[str, int]

    def to_bytes(self) -> bytes:
        """A file that says what it is."""
        stored = _Stored(
            model=self.model,
            pane_s=self.pane_s,
            fitted=self.fitted.to_bytes(),
            profile=self.profile.to_bytes(),
            marks=dict(self.marks),
        )
        return MAGIC + zlib.compress(msgspec.msgpack.encode(stored), 1)

    @classmethod
    def from_bytes(cls, data: bytes) -> "History":
        """What ``to_bytes`` wrote; ValueError for anything else."""
        if not data.startswith(MAGIC):
            raise ValueError("these bytes are no baseline; make one with: driftd data baseline")
        try:
            plain = zlib.decompress(data[len(MAGIC) :])
            stored = msgspec.msgpack.decode(plain, type=_Stored)
        except (zlib.error, msgspec.DecodeError) as error:
            raise ValueError(f"the baseline is damaged: {error}") from error
        if stored.format > FORMAT:
            raise ValueError(
                f"a baseline file of format {stored.format}; this driftd reads {FORMAT}"
            )
        return cls(
            model=stored.model,
            pane_s=stored.pane_s,
            fitted=Fitted.from_bytes(stored.fitted),
            profile=Profile.from_bytes(stored.profile),
            marks=stored.marks,
        )


def learn_history(
    spec: ModelSpec,
    batches: Batches,
    roles: Roles,
    profile: Profile,
    *,
    span: Span | None = None,
    progress: Progress = lambda _: None,
) -> History:
    """Learn from the newest panes of recorded rows, as many as a burn-in of the daemon takes.

    Memory holds those panes only. Raises ``MistakeError`` where they are too few.
    """
    layouts, streams = layouts_of(spec, profile), streams_of(spec, profile)
    pane_s, most = spec.clock.pane_s, max(SPAN_MAX_S, PANES_MAX * spec.clock.pane_s)
    buckets = Buckets(layouts, roles, spec.clock.bucket_s, spec.clock.lateness_s)
    panes: deque[PaneCounts] = deque()
    whole: list[PaneClosed] = []

    def take(bucket: PaneClosed) -> None:
        if whole and whole[0].start // pane_s != bucket.start // pane_s:
            panes.append(merge(whole, layouts))
            whole.clear()
        whole.append(bucket)
        while panes and panes[0].start < bucket.end - most:
            panes.popleft()

    for batch in timed(batches, roles, span or Span()):
        asked = answered(batch.rows, roles)
        for bucket in buckets.add(
            batch.rows.filter(pa.array(asked)), batch.ts[asked], batch.first_row
        ):
            take(bucket)
        progress(batch.done)
    for bucket in buckets.rest():
        take(bucket)
    if whole and whole[-1].end - whole[0].start >= pane_s - 1e-6:
        panes.append(merge(whole, layouts))
    fitted = learn(spec, streams, list(panes))
    if fitted is None:
        days = max(SPAN_MIN_S, PANES_MIN * pane_s) / 86_400
        raise MistakeError(
            f"{len(panes)} panes are too few: it takes {PANES_MIN} of them with {EVENTS_MIN} events or more, "
            f"over {days:g} days; give a longer history, or make panes of another length by clock.pane"
        )
    marks = layout_marks({name: layouts[name] for name in fitted.streams})
    return History(model=spec.model, pane_s=pane_s, fitted=fitted, profile=profile, marks=marks)
