"""Live traffic from real flights: a day of them in a minute or so, asked and labelled as time goes by.

python -m driftd.demo.live --server http://127.0.0.1:8322 --bootstrap 127.0.0.1:9092
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import httpx
import msgspec
import typer
from driftd_recorder.recorder import Recorder

from driftd.clients.registry import Registry
from driftd.clock import steady_now, wall_now
from driftd.demo.children import Children
from driftd.demo.flights import MODEL, STREAM_FROM, YEAR_END, load_flights
from driftd.demo.options import DAY_S
from driftd.demo.schedule import Schedule
from driftd.demo.setup import train_champion, write_january

TICK_S = 0.25
CALLS_AT_ONCE = 8
ANSWER_S = 30.0


@dataclass(slots=True, kw_only=True)
class Sent:
    """What was done so far."""

    flights: int = 0
    failed_requests: int = 0
    labels: int = 0


class LiveTraffic:
    """The stream's flights in ``day_s`` seconds a day; after the year's end it begins again.

    The events carry the time of now: panes, rules and canaries follow the clock on the wall.
    """

    def __init__(
        self, schedule: Schedule, server: str, recorder: Recorder, *, day_s: float = 60.0
    ) -> None:
        self._schedule = schedule
        self._client = httpx.Client(base_url=server, timeout=ANSWER_S, trust_env=False)
        self._recorder = recorder
        self._speed = DAY_S / day_s
        self.sent = Sent()

    def run(self, stop: threading.Event) -> None:
        """Until ``stop``. A server that is away costs the flights of that time, nothing more."""
        began = steady_now()
        with ThreadPoolExecutor(CALLS_AT_ONCE, "traffic") as pool:
            for lap, start, end in self._spans(began, stop):
                calls = self._schedule.calls(start, end)
                bodies = [_of_lap(call.body, lap) for call in calls]
                for call, good in zip(calls, pool.map(self._ask, bodies), strict=True):
                    self.sent.flights += len(call.rows)
                    self.sent.failed_requests += not good
                for arrival in self._schedule.arrivals(start, end):
                    label_id = _in_lap(arrival.id, lap)
                    self._recorder.label(
                        model=MODEL, id=label_id, label=arrival.label, ts=wall_now()
                    )
                    self.sent.labels += 1

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _spans(self, began: float, stop: threading.Event) -> Iterator[tuple[int, float, float]]:
        """(lap, start, end) in the flights' own time, as it goes by."""
        lap, done = 0, STREAM_FROM
        while not stop.wait(TICK_S):
            passed = (steady_now() - began) * self._speed
            laps, into = divmod(passed, YEAR_END - STREAM_FROM)
            now = STREAM_FROM + into
            if int(laps) > lap:
                yield lap, done, YEAR_END
                lap, done = int(laps), STREAM_FROM
            yield lap, done, now
            done = now

    def _ask(self, body: bytes) -> bool:
        try:
            answer = self._client.post("/predict", content=body, headers=_JSON)
        except httpx.HTTPError:
            return False
        return answer.is_success


_JSON = {"Content-Type": "application/json"}


def _of_lap(body: bytes, lap: int) -> bytes:
    """The request without its own time, and with ids that no earlier lap had."""
    request: dict[str, Any] = msgspec.json.decode(body)
    del request["ts"]
    request["ids"] = [_in_lap(one, lap) for one in request["ids"]]
    return msgspec.json.encode(request)


def _in_lap(name: str, lap: int) -> str:
    return f"{name}+{lap}" if lap else name


def prepare_champion(folder: Path, tracking_uri: str) -> None:
    """Train version 1 on January's flights and point the alias at it, where no version has it."""
    # One that is there already answers no, and that is well.
    httpx.post(
        f"{tracking_uri}/api/2.0/mlflow/registered-models/create",
        json={"name": MODEL},
        timeout=ANSWER_S,
        trust_env=False,
    )
    if "champion" in Registry(tracking_uri).aliases(MODEL):
        return
    flights = load_flights(folder / "flights.feather")
    write_january(folder / "january", flights[flights["hour_ts"] < STREAM_FROM])
    children = Children(folder)
    try:
        train_champion(children, folder / "january", tracking_uri, seed=0)
    finally:
        children.stop_all()


def live_schedule(folder: Path) -> Schedule:
    """The flights from the end of January on."""
    return Schedule(load_flights(folder / "flights.feather"), STREAM_FROM, YEAR_END, seed=0)


def main(
    server: Annotated[str, typer.Option(help="Where `driftd serve` answers.")],
    bootstrap: Annotated[str, typer.Option(help="Where Kafka is; labels go there.")],
    folder: Annotated[Path, typer.Option(help="Where the flights are kept.")] = Path("live"),
    day: Annotated[float, typer.Option(help="Seconds in which a day of flights goes by.")] = 60.0,
    train: Annotated[
        str, typer.Option(help="Train the first champion here (an MLflow address), then end.")
    ] = "",
) -> None:
    """Ask about real flights as if it were now, and tell later whether they were late."""
    if train:
        prepare_champion(folder, train)
        return
    recorder = Recorder(bootstrap)
    traffic = LiveTraffic(live_schedule(folder), server, recorder, day_s=day)
    try:
        traffic.run(threading.Event())
    except KeyboardInterrupt:
        return
    finally:
        traffic.close()
        recorder.close()


if __name__ == "__main__":
    typer.run(main)
