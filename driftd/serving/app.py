"""The HTTP face of a server: `/predict`, `/health`, `/metrics`."""

from collections.abc import Callable
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from driftd.errors import DriftdError
from driftd.serving.bodies import BODY_BYTES_MAX, BodyError, describe
from driftd.serving.child import ChildDiedError, ScoringError, UnfitError
from driftd.serving.metrics import Metrics
from driftd.serving.predict import NotReadyError, Predictor
from driftd.serving.served import OverloadedError

_JSON = "application/json"
# From the particular to the general: the first that fits is the answer.
STATUS: tuple[tuple[type[DriftdError], int], ...] = (
    (BodyError, 400),
    (UnfitError, 422),
    (ScoringError, 500),
    (OverloadedError, 503),
    (NotReadyError, 503),
    (ChildDiedError, 503),
)


class TooLongError(BodyError):
    """The body is longer than a body may be."""


def make_app(
    model: str, predictor: Predictor, metrics: Metrics, health: Callable[[], dict[str, Any]]
) -> FastAPI:
    """`health()["ready"]` decides between 200 and 503."""
    app = FastAPI(title=f"driftd serve {model}", docs_url=None, redoc_url=None)

    # The body is read raw and parsed by msgspec: pydantic would cost more than the model.
    @app.post("/predict", openapi_extra=describe())
    async def predict(request: Request) -> Response:
        try:
            answer = await predictor.predict(await _body(request))
        except DriftdError as error:
            status = next((code for kind, code in STATUS if isinstance(error, kind)), 500)
            metrics.requests.labels(str(status)).inc()
            return _error(status, str(error))
        metrics.requests.labels("200").inc()
        return Response(answer, media_type=_JSON)

    @app.get("/health")
    async def healthy() -> Response:
        state = health()
        return Response(
            msgspec.json.encode(state), 200 if state["ready"] else 503, media_type=_JSON
        )

    @app.get("/metrics")
    async def scrape() -> Response:
        return Response(metrics.render(), media_type=CONTENT_TYPE_LATEST)

    return app


async def _body(request: Request) -> bytes:
    """The whole body. Raises TooLongError before more than the limit is in memory."""
    parts: list[bytes] = []
    length = 0
    async for part in request.stream():
        length += len(part)
        if length > BODY_BYTES_MAX:
            raise TooLongError(f"the body is longer than {BODY_BYTES_MAX} bytes")
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _error(status: int, message: str) -> Response:
    headers = {"Retry-After": "1"} if status == 503 else None
    return Response(msgspec.json.encode({"error": message}), status, headers, media_type=_JSON)
