"""A store with flushed events of one model, as ingest would have written them, and a stepper."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agents.alerter import Links
from agents.codec import encode_arm
from agents.events import ArmCounts
from detectors.profile import default_layouts
from driftd.control.policies import PolicyBook
from driftd.control.stepper import StepOutcome, Stepper
from driftd.data.archive import Archive
from driftd.data.samples import encode_labels, encode_predictions, subject_hash
from driftd.store.migrate import migrate
from driftd.store.moves import Flush, Move
from driftd.store.rows import PartialRow, SampleRow
from driftd.store.store import Store, open_store
from driftd.telemetry import Metrics

DAY = 86_400.0
START = 1_359_417_600.0
MODEL = "flight-delay"
POLICY = """\
model: flight-delay
mode: auto
labels: {arrive_within: 24h, maturity: 12h, positive: late}
clock: {pane: 1d, lateness: 5m}
retrain: {trainer: tabular}
canary: {steps: [{weight: 10%, shadow: 100%, for: 14d}], give_up_after: 21d}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One prediction, with its label where it has one."""

    id: str
    ts: float
    score: float = 0.6
    version: str = "1"
    variant: str = "champion"
    shadow_of: str | None = None
    label: str | None = None
    label_after: float = 3_600.0


@dataclass
class Bench:
    """The control loop's surroundings on a real SQLite store in a folder."""

    folder: Path
    event_clock: bool = True
    metrics: Metrics = field(default_factory=Metrics)

    def __post_init__(self) -> None:
        url = f"sqlite:///{self.folder}/driftd.db"
        migrate(url)
        self.store: Store = open_store(url)
        self.book = PolicyBook(self.store)
        self.archive = Archive(str(self.folder / "archive"))
        topics = ("predictions", "labels")
        self.store.ingest.discover({(topic, 0): 0 for topic in topics}, listed={})
        self._offsets = dict.fromkeys(topics, 0)
        self.stepper = self.new_stepper()

    def new_stepper(self, worker: str = "") -> Stepper:
        """A stepper without memory, as after a restart or in another worker."""
        return Stepper(
            self.store,
            self.book,
            self.archive,
            self.metrics,
            event_clock=self.event_clock,
            links=Links(),
            resend_s=60.0,
            worker=worker,
        )

    def publish(self, text: str = POLICY) -> int:
        """Put a policy in force."""
        revision, mistakes = self.book.publish_text(text, "test")
        assert mistakes == ()
        return revision

    def flush(self, answers: Sequence[Answer], watermark: float) -> None:
        """What ingest writes of these answers and their labels, and how far event time is known."""
        labels = [answer for answer in answers if answer.label is not None]
        assert self.store.ingest.flush(
            Flush(
                moves=(
                    self._move("predictions", len(answers), watermark),
                    self._move("labels", len(labels), watermark),
                ),
                partials=tuple(_partial(answer) for answer in answers),
                samples=(*_predictions(answers), *_labels(labels)),
            )
        )

    def _move(self, topic: str, records: int, watermark: float) -> Move:
        # The tick that moves the watermark is a record as well.
        old = self._offsets[topic]
        self._offsets[topic] = old + records + 1
        return Move(
            topic=topic,
            partition=0,
            lineage=0,
            old=old,
            new=old + records + 1,
            watermark=watermark,
            records=records + 1,
        )

    def step(self) -> StepOutcome:
        """One step of the model."""
        return self.stepper.step(MODEL)

    def settle(self) -> None:
        """Finish every command in flight well, as an executor would, until there is none."""
        for _ in range(20):
            claimed = self.store.outbox.claim("bench", 60.0, self.store.database.now() + 1)
            if not claimed:
                return
            for row in claimed:
                result = {"version": "1", "profile_id": 1} if row.kind == "profile" else {}
                self.store.outbox.finish(
                    row.op_id, row.attempt, "bench", "done", result, tell=row.kind != "decisions"
                )
            self.step()


def _bucket(ts: float) -> float:
    return ts - ts % DAY


def _partial(answer: Answer) -> PartialRow:
    layouts = default_layouts()
    counts = {"@score": layouts["@score"].fold([answer.score])}
    return PartialRow(
        model=MODEL,
        version=answer.version,
        variant=answer.variant,
        bucket=_bucket(answer.ts),
        n=1,
        blob=encode_arm(ArmCounts(n=1, counts=counts)),
    )


def _predictions(answers: Sequence[Answer]) -> list[SampleRow]:
    return [
        SampleRow(
            model=MODEL,
            bucket=bucket,
            kind="prediction",
            n=len(mine),
            blob=encode_predictions(
                {
                    "id": [a.id for a in mine],
                    "version": [a.version for a in mine],
                    "variant": [a.variant for a in mine],
                    "ts": [a.ts for a in mine],
                    "score": [a.score for a in mine],
                    "subject": [subject_hash(a.shadow_of or a.id) for a in mine],
                    "shadow_of": [a.shadow_of for a in mine],
                    "features": ['{"distance":100.0}' for _ in mine],
                }
            ),
        )
        for bucket in sorted({_bucket(a.ts) for a in answers})
        if (mine := [a for a in answers if _bucket(a.ts) == bucket])
    ]


def _labels(answers: Sequence[Answer]) -> list[SampleRow]:
    rows = []
    for bucket in sorted({_bucket(a.ts + a.label_after) for a in answers}):
        mine = [a for a in answers if _bucket(a.ts + a.label_after) == bucket]
        blob = encode_labels(
            {
                "id": [a.id for a in mine],
                "ts": [a.ts + a.label_after for a in mine],
                "label": [a.label for a in mine],
            }
        )
        row = SampleRow(model=MODEL, bucket=bucket, kind="label", n=len(mine), blob=blob)
        rows.append(row)
    return rows
