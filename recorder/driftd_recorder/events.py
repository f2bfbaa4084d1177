"""The events that producers send; their JSON Schema is driftd's ``docs/event.schema.json``."""

from collections.abc import Mapping
from typing import Any

import msgspec

Value = float | int | str | bool | None


class Prediction(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One answer of one version, live or shadow."""

    v: int
    id: str
    model: str
    version: str
    variant: str
    ts: float
    features: Mapping[str, Value] | None = None
    vectors: Mapping[str, Any] | None = None
    score: float | None = None
    prediction: Value = None
    latency_ms: float | None = None
    error: str | None = None
    subject: str | None = None
    segment: Mapping[str, str] | None = None
    shadow_of: str | None = None


class Label(msgspec.Struct, kw_only=True, gc=False):
    """What turned out to be true of the prediction ``id``; ``ts`` is when it became known."""

    v: int
    id: str
    model: str
    label: Value
    ts: float


class Features(msgspec.Struct, kw_only=True, gc=False):
    """One reading of a source that belongs to no single prediction."""

    v: int
    source: str
    ts: float
    features: Mapping[str, Value]


class Tick(msgspec.Struct, kw_only=True, gc=False):
    """Event time has reached ``tick`` in this partition; only replays send it."""

    v: int
    tick: float


AnyEvent = Prediction | Label | Features | Tick


def _plain(value: Any) -> Any:
    # NumPy's scalars and arrays, pandas' too; anything else is the caller's mistake.
    for name in ("item", "tolist"):
        convert = getattr(value, name, None)
        if convert is not None and (name == "tolist" or getattr(value, "ndim", 0) == 0):
            return convert()
    raise TypeError(f"cannot send a value of type {type(value).__name__}")


_encoder = msgspec.json.Encoder(enc_hook=_plain)


def encode(event: AnyEvent) -> bytes:
    """One line of JSON; NaN and infinities become null. Raises ``TypeError`` for strange values."""
    return _encoder.encode(event)
