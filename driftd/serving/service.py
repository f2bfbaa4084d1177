"""One serving process: follows the traffic topic, answers over HTTP, ends without losing a call."""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import structlog
import uvicorn
from driftd_recorder.recorder import Recorder

from driftd.clients.environment import log_in, model_environment
from driftd.errors import MistakeError
from driftd.kafka import aiokafka_options, librdkafka_options
from driftd.serving.app import make_app
from driftd.serving.child import ChildSpec, LoadError, start_child
from driftd.serving.events import Events
from driftd.serving.metrics import Metrics, State
from driftd.serving.predict import Predictor
from driftd.serving.served import BACK_OFF_FIRST_S, BACK_OFF_MAX_S
from driftd.serving.shadows import Shadows
from driftd.serving.switch import Switch
from driftd.serving.traffic import CATCH_UP_S, TrafficFollower
from driftd.settings import Settings

log = structlog.get_logger()

SHUTDOWN_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """What stands on the command line."""

    model: str
    registry_name: str
    alias: str = "champion"
    predictions: str = "predictions"
    host: str = "127.0.0.1"
    port: int = 0
    ready: Path | None = None
    memory_bytes: int = 4 << 30
    pass_env: tuple[str, ...] = ()


class Server:
    """All parts of one serving process, wired. `run` is its whole life."""

    def __init__(self, settings: Settings, options: ServeOptions) -> None:
        self._options = options
        log_in(settings.mlflow)
        self._spec = ChildSpec(
            name=options.registry_name,
            tracking_uri=settings.mlflow.tracking_uri,
            registry_timeout_s=settings.mlflow.deadline_s,
            memory_bytes=options.memory_bytes,
            python=str(settings.mlflow.python or sys.executable),
            registry_env=model_environment(settings.mlflow),
            pass_env=options.pass_env,
        )
        self._start = partial(start_child, self._spec)
        self._switch = Switch(options.model, self._start)
        self._metrics = Metrics(options.model)
        self._recorder = Recorder(
            settings.kafka.bootstrap,
            predictions=options.predictions,
            extra=librdkafka_options(settings.kafka),
        )
        events = Events(self._recorder, options.model)
        self._shadows = Shadows(self._switch.fleet, events, self._metrics)
        self._predictor = Predictor(
            self._switch, events, self._shadows, self._metrics,
            event_clock=settings.clock == "event",
        )  # fmt: skip
        self._follower = TrafficFollower(
            aiokafka_options(settings.kafka), settings.topics.traffic, options.model,
            self._switch.offer, lambda outcome: self._metrics.routings.labels(outcome).inc(),
        )  # fmt: skip
        self._alias_problem = ""
        self._metrics.watch(self._state)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop`; then finish what is in flight and flush the recorder."""
        listening = _listen(self._options.host, self._options.port)
        app = make_app(self._options.model, self._predictor, self._metrics, self.health)
        http = _Http(
            uvicorn.Config(
                app, log_config=None, access_log=False, lifespan="off", server_header=False,
                timeout_graceful_shutdown=int(SHUTDOWN_S), timeout_keep_alive=75,
            )
        )  # fmt: skip
        serving = asyncio.create_task(http.serve([listening]))
        # Ends only by a fault of one of the two; the other is then over as well.
        helping = asyncio.gather(self._follower.run(), self._begin(listening.getsockname()[1]))
        stopping = asyncio.create_task(stop.wait())
        try:
            await _first_of(stopping, serving, helping)
        finally:
            http.should_exit = True
            await asyncio.wait({serving})
            helping.cancel()
            stopping.cancel()
            await asyncio.gather(helping, stopping, return_exceptions=True)
            await self._shadows.drain(SHUTDOWN_S)
            await self._switch.fleet.close()
            left = await asyncio.to_thread(self._recorder.close, SHUTDOWN_S)
            listening.close()
            log.info("stopped serving", model=self._options.model, events_left=left)
        serving.result()

    def health(self) -> dict[str, Any]:
        """What `/health` tells. Ready: some plan is in force and its fallback can answer."""
        switch = self._switch
        plan, target = switch.plan, switch.target
        fallback = switch.fleet.get(plan.fallback.version) if plan is not None else None
        problems = {v: s.problem for v, s in switch.fleet.versions.items() if s.problem}
        if self._alias_problem and plan is None:
            problems[f"@{self._options.alias}"] = self._alias_problem
        return {
            "ready": fallback is not None and fallback.child is not None,
            "model": self._options.model,
            "epoch": switch.epoch,
            "target_epoch": target.epoch if target is not None else None,
            "routes": plan.routes if plan is not None else [],
            "shadows": plan.shadows if plan is not None else [],
            "loaded": sorted(v for v, s in switch.fleet.versions.items() if s.child is not None),
            "problems": problems,
            "last_live_answer": self._metrics.last_live_answer,
            "shadow_waiting": self._shadows.waiting_rows,
            "events": asdict(self._recorder.counts()),
        }

    def _state(self) -> State:
        versions = self._switch.fleet.versions
        return State(
            epoch=self._switch.epoch,
            versions={v: s.child is not None for v, s in versions.items()},
            restarts={v: s.restarts for v, s in versions.items()},
            shadow_waiting=self._shadows.waiting_rows,
            events=asdict(self._recorder.counts()),
        )

    async def _begin(self, port: int) -> None:
        """Serve what the topic says, or the champion's alias; then say that we are ready."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CATCH_UP_S):
                await self._follower.caught_up.wait()
        back_off = BACK_OFF_FIRST_S
        # An alias is asked for only while nobody routes; a routing may come at any moment.
        while self._switch.target is None:
            try:
                child = await self._start(f"@{self._options.alias}")
            except LoadError as error:
                self._alias_problem = str(error)
                log.warning("could not load champion", alias=self._options.alias, error=str(error))
                await asyncio.sleep(back_off)
                back_off = min(BACK_OFF_MAX_S, 2 * back_off)
                continue
            if self._switch.target is None:
                self._switch.adopt(child)
            else:
                await child.stop()
        while not self.health()["ready"]:  # noqa: ASYNC110  (several parts make it so)
            await asyncio.sleep(0.02)
        log.info("ready", model=self._options.model, port=port)
        if self._options.ready is not None:
            await asyncio.to_thread(_write_ready, self._options.ready, port)


async def serve_until_signal(settings: Settings, options: ServeOptions) -> None:
    """Serve until SIGTERM or SIGINT. A second signal ends at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop_or_leave() -> None:
        if stop.is_set():
            raise SystemExit(130)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop_or_leave)
    await Server(settings, options).run(stop)


class _Http(uvicorn.Server):
    """Leaves the signals to us: after uvicorn has stopped there is still something to finish."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio sets TCP_NODELAY only where it is: without, the body of
    # an answer waits 40 ms for the acknowledgement of its head.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(2048)
    except OSError as error:
        listening.close()
        raise MistakeError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return listening


async def _first_of(*futures: asyncio.Future[Any]) -> None:
    """Return when one has ended; raise what it raised."""
    done, _ = await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
    for future in done:
        future.result()


def _write_ready(file: Path, port: int) -> None:
    partial_file = file.with_suffix(".partial")
    partial_file.write_bytes(msgspec.json.encode({"port": port}))
    partial_file.replace(file)
