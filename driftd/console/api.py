"""The daemon's HTTP API: what is known may be read; what changes something needs the token."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import anyio.to_thread
import msgspec
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from agents.events import OperatorAsked
from driftd.clock import wall_now
from driftd.console.status import decision_view, model_pulse, model_status
from driftd.console.workers import workers_view
from driftd.errors import DriftdError, OutsideError
from driftd.store.policies import MovedError
from driftd.store.store import Store
from policies.specs import ModelSpec

VERBS = (
    "accept", "approve", "canary", "false_alarm", "ignore", "pause", "promote", "refuse",
    "resume", "retrain", "rollback",
)  # fmt: skip


VIEW_ROWS_MAX = 10_000
POLICY_CHARACTERS_MAX = 2**20
Rows = Annotated[int, Query(ge=0, le=VIEW_ROWS_MAX)]
By = Annotated[str, Field(min_length=1, max_length=200)]
Argument = Annotated[str, Field(max_length=2_000)] | int | float | bool | None


class Asked(BaseModel):
    """The body of a wish; ``request_id`` makes one that is repeated for the model count once."""

    model_config = ConfigDict(extra="forbid")
    by: By
    arguments: Annotated[dict[str, Argument], Field(max_length=20)] = {}
    request_id: Annotated[str, Field(max_length=200)] = ""


class Published(BaseModel):
    """The body of a policy. ``expect``: the revision that must be in force, 0 for none."""

    model_config = ConfigDict(extra="forbid")
    text: Annotated[str, Field(max_length=POLICY_CHARACTERS_MAX)]
    by: By
    expect: Annotated[int, Field(ge=0)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the API stands on. ``publish(text, by, expect)`` returns a revision, or the mistakes it
    found; it raises ``MovedError`` where another revision than ``expect`` is in force.

    ``health`` returns what only a fresh process cures, ``ready`` what is missing before this worker
    takes part; an empty tuple when nothing is.
    """

    store: Store
    specs: Callable[[], dict[str, ModelSpec]]
    publish: Callable[[str, str, int | None], tuple[int, tuple[str, ...]]]
    ring: Callable[[str], None]
    health: Callable[[], tuple[str, ...]]
    ready: Callable[[], tuple[str, ...]]
    scrape: Callable[[], bytes]
    token: str | None


def make_api(desk: Desk) -> FastAPI:
    """The application. Without a token the daemon listens on loopback only; see the wiring."""
    app = FastAPI(title="driftd", docs_url="/docs", redoc_url=None)
    _add_health(app, desk)
    _add_views(app, desk)
    _add_wishes(app, desk)
    app.add_exception_handler(DriftdError, _troubled)
    return app


async def _troubled(_request: Request, error: Exception) -> Response:
    """What driftd can name: 503 for something outside that is away, 500 for a broken policy."""
    code = 503 if isinstance(error, OutsideError) else 500
    body = msgspec.json.encode({"detail": str(error)})
    return Response(body, code, media_type="application/json")


def _add_health(app: FastAPI, desk: Desk) -> None:
    @app.get("/health")
    async def health() -> Response:
        wrong = await anyio.to_thread.run_sync(desk.health)
        return _verdict(wrong)

    @app.get("/ready")
    async def ready() -> Response:
        return _verdict(await anyio.to_thread.run_sync(desk.ready))

    @app.get("/metrics")
    async def metrics() -> Response:
        body = await anyio.to_thread.run_sync(desk.scrape)
        return Response(body, media_type="text/plain; version=0.0.4; charset=utf-8")


def _verdict(wrong: tuple[str, ...]) -> Response:
    body = msgspec.json.encode({"ok": not wrong, "wrong": wrong})
    return Response(body, 503 if wrong else 200, media_type="application/json")


def _add_views(app: FastAPI, desk: Desk) -> None:
    @app.get("/api/models")
    def models() -> Response:
        return _json([model_status(desk.store, spec, 5) for spec in desk.specs().values()])

    @app.get("/api/models/{model}")
    def one(model: str, decisions: Rows = 50) -> Response:
        return _json(model_status(desk.store, _known(desk, model), decisions))

    @app.get("/api/models/{model}/pulse")
    def pulse(model: str) -> Response:
        return _json(model_pulse(desk.store, _known(desk, model)))

    @app.get("/api/models/{model}/decisions")
    def decisions(model: str, limit: Rows = 1000) -> Response:
        _known(desk, model)
        return _json([decision_view(row) for row in desk.store.views.decisions(model, limit)])

    @app.get("/api/models/{model}/incidents")
    def incidents(model: str) -> Response:
        _known(desk, model)
        return _json([msgspec.json.decode(r.body) for r in desk.store.views.incidents(model)])

    @app.get("/api/models/{model}/report")
    def report(model: str) -> Response:
        # The plots bring matplotlib: 30 MB that a daemon does without until somebody looks.
        from driftd.console.report import render_report  # noqa: PLC0415

        page = render_report(desk.store, _known(desk, model))
        return Response(page, media_type="text/html; charset=utf-8")

    @app.get("/api/workers")
    def workers() -> Response:
        return _json(workers_view(desk.store.workers.all(), wall_now()))

    @app.get("/api/counts")
    def counts() -> Response:
        records, rejected = desk.store.views.records()
        return _json(
            {
                "records": records,
                "rejected": [[*key, n] for key, n in sorted(rejected.items())],
                "paused_all": desk.store.flags.paused_all(),
            }
        )


def _add_wishes(app: FastAPI, desk: Desk) -> None:
    def authorised(request: Request) -> None:
        if desk.token is None:
            return
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        known = secrets.compare_digest(given.encode(), desk.token.encode())
        if scheme.lower() != "bearer" or not known:
            raise HTTPException(401, "this needs the daemon's token")

    guard = Annotated[None, Depends(authorised)]

    @app.post("/api/policies")
    def publish(body: Published, _: guard) -> dict[str, Any]:
        return _publish(desk, body)

    @app.post("/api/pause-all")
    def pause_all(body: Asked, _: guard) -> dict[str, Any]:
        desk.store.flags.pause_all(body.by)
        return {"paused_all": True}

    @app.post("/api/resume-all")
    def resume_all(body: Asked, _: guard) -> dict[str, Any]:
        desk.store.flags.resume_all(body.by)
        return {"paused_all": False}

    @app.post("/api/models/{model}/{verb}", status_code=202)
    def ask(model: str, verb: str, body: Asked, _: guard) -> dict[str, Any]:
        _known(desk, model)
        if verb not in VERBS:
            raise HTTPException(404, f"no such wish; known: {', '.join(VERBS)}")
        request_id = body.request_id or secrets.token_hex(8)
        asked = OperatorAsked(
            verb=verb, by=body.by, arguments=body.arguments, request_id=request_id
        )
        # The results of commands are known by such names too, and no wish may take one's place.
        once = f"asked:{model}:{request_id}"
        desk.store.inbox.put(model, "operator", msgspec.json.encode(asked), once)
        desk.ring(model)
        return {"request_id": request_id, "wall_at": wall_now()}


def _publish(desk: Desk, body: Published) -> dict[str, Any]:
    try:
        revision, mistakes = desk.publish(body.text, body.by, body.expect)
    except MovedError as error:
        raise HTTPException(409, str(error)) from error
    if mistakes:
        raise HTTPException(422, list(mistakes))
    return {"revision": revision}


def _known(desk: Desk, model: str) -> ModelSpec:
    specs = desk.specs()
    if model not in specs:
        known = ", ".join(sorted(specs)) or "none yet; publish a policy with `driftd apply FILE`"
        raise HTTPException(404, f"no model {model!r}; known: {known}")
    return specs[model]


def _json(value: Any) -> Response:
    # NaN has no JSON form; what could not be measured is null.
    return Response(msgspec.json.encode(value), media_type="application/json")
