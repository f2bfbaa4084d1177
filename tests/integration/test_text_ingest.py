"""Texts from Kafka to the vector stream of the model's profile: transformers and PyTorch live."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from agents.codec import decode_arm
from detectors.contract import IntArray, events
from detectors.distances.mmd import MMD
from detectors.profile import Profile
from driftd.cli.main import build
from driftd.data.samples import decode_predictions
from driftd.demo.broker import EmbeddedBroker, start_broker
from driftd.sections import EncoderSettings
from driftd.store.rows import PartialRow
from driftd.store.store import Store
from policies.specs import EventsSpec, ModelSpec
from stack import text
from stack.install import cache
from tests.support.ingesting import MODEL, T0, ingesting, prediction, produce, settings, spec, until

SUPPORT = Path(__file__).parents[1] / "support"
FLIGHTS = ["the plane is late", "my plane is late", "is the plane late please"]
MONEY = ["my bill is wrong", "money back please", "the bill is wrong"]
POLICY: ModelSpec = spec(
    events=EventsSpec(predictions="predictions", labels="labels", encode=(("query", "sentence"),))
)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    topics = {"predictions": 2, "labels": 1, "driftd.dead_letters": 1}
    started = start_broker(topics, tmp_path / "broker")
    yield started
    started.stop()


def queries(count: int, flights: float) -> list[str]:
    rng = np.random.default_rng(count)
    return [str(rng.choice(FLIGHTS if rng.random() < flights else MONEY)) for _ in range(count)]


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    folder = tmp_path / "bert"
    made = [str(text.python(cache())), "-I", str(SUPPORT / "tiny_bert.py"), str(folder)]
    subprocess.run(made, check=True, capture_output=True)
    return folder


def profiled(bert: Path, folder: Path) -> Profile:
    """What `driftd data profile --encode` makes of a training table."""
    file, out = folder / "train.parquet", folder / "model.profile"
    pq.write_table(pa.table({"query": queries(1_500, 0.9)}), file)
    command = ["data", "profile", str(file), "--out", str(out), "--encode", f"query={bert}"]
    command += ["--encoder-python", str(text.python(cache()))]
    result = CliRunner().invoke(build(), command)
    assert result.exit_code == 0, result.output
    return Profile.from_bytes(out.read_bytes())


class Traffic:
    """Sends texts, a bucket of a minute a kind, and reads what the store holds of each."""

    def __init__(self, broker: EmbeddedBroker, store: Store) -> None:
        self._broker = broker
        self._store = store
        self.sent: dict[float, int] = {}

    async def send(self, bucket: int, texts: list[str]) -> None:
        """Send, and wait until all is in the store."""
        start = T0 + 60 * bucket
        first = sum(self.sent.values())
        records = [
            prediction(first + n, ts=start + n % 60, features={"query": query})
            for n, query in enumerate(texts)
        ]
        produce(self._broker, "predictions", records)
        self.sent[start] = self.sent.get(start, 0) + len(texts)
        await until(lambda: self.counted() == self.sent, "every record counted once")

    def counted(self) -> dict[float, int]:
        """Bucket -> events in it."""
        found: dict[float, int] = {}
        for row in self._partials():
            found[row.bucket] = found.get(row.bucket, 0) + row.n
        return found

    def vectors(self, bucket: int) -> IntArray:
        """The counts of the vector stream in a bucket."""
        arms = [decode_arm(row.blob) for row in self._partials() if row.bucket == T0 + 60 * bucket]
        found = [arm.counts["query"] for arm in arms if "query" in arm.counts]
        return np.sum(found, axis=0, dtype=np.int64) if found else np.zeros(2, np.int64)

    def kept(self) -> list[str]:
        """The features of the sampled predictions."""
        rows = [row for _, row in self._store.control.work(MODEL, (), -1e12, 60.0, None).samples]
        return [one for row in rows for one in decode_predictions(row.blob)["features"].to_pylist()]

    def _partials(self) -> list[PartialRow]:
        found = self._store.control.work(MODEL, (), -1e12, 60.0, None)
        return [row for _, row in (*found.partials, *found.late)]


def encoders(bert: Path) -> list[int]:
    """The processes that have loaded this encoder."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if str(bert).encode() in words and folder.name.isdigit():
            found.append(int(folder.name))
    return found


def test_texts_are_watched_live_and_an_encoder_that_is_killed_takes_no_record_with_it(
    broker: EmbeddedBroker, bert: Path, tmp_path: Path
) -> None:
    profile = profiled(bert, tmp_path)
    stream = profile.streams["query"]
    python = str(text.python(cache()))
    given = settings(broker.bootstrap, tmp_path).model_copy(
        update={"encoders": {"sentence": encoder(bert, python)}}
    )

    async def until_encoded(traffic: Traffic, bucket: int) -> None:
        while not traffic.vectors(bucket).any():
            await traffic.send(bucket, queries(5, 0.9))

    async def story() -> Traffic:
        async with ingesting(given, lambda: {MODEL: POLICY}) as (ingest, store):
            store.profiles.put(MODEL, "1", profile.to_bytes())
            traffic = Traffic(broker, store)
            await until_encoded(traffic, 0)
            for _ in range(6):
                await traffic.send(1, queries(40, 0.9))
                await traffic.send(2, queries(40, 0.0))
            (child,) = encoders(bert)
            os.kill(child, signal.SIGKILL)
            await traffic.send(3, queries(300, 0.9))
            await until_encoded(traffic, 4)
            assert encoders(bert) != [child]
            assert ingest.notices() == ()

            for bucket, low, high in ((1, -1.0, 0.1), (2, 0.2, 9.0)):
                counts = traffic.vectors(bucket)
                sampled = events(stream.layout, counts)
                assert 50 <= sampled <= 240
                assert counts[-1] == 0
                found = MMD().measure(stream.layout, stream.shares, counts, m=stream.n)
                assert low < found.value < high
            assert set(traffic.kept()) == {"{}"}
            return traffic

    asyncio.run(story())
    assert encoders(bert) == []


def encoder(bert: Path, python: str) -> EncoderSettings:
    return EncoderSettings.model_validate({"source": str(bert), "python": python, "timeout": "10s"})
