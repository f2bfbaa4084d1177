"""The bodies of `/predict`: what a caller may send, and what is wrong with it when it is not that."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from driftd_recorder.recorder import new_id

from driftd.errors import MistakeError
from driftd.serving.child import Row

INSTANCES_MAX = 10_000
BODY_BYTES_MAX = 16 << 20
_MILLISECONDS_FROM = 1e11

Value = float | bool | str | None


class BodyError(MistakeError):
    """The body of a request is wrong; the caller must change it."""


class PredictBody(msgspec.Struct, forbid_unknown_fields=True):
    """What is posted to `/predict`."""

    instances: list[dict[str, Value]]
    ids: list[str] | None = None
    """One name an instance, by which its label will come; made up when absent."""
    subject: str | None = None
    """The unit of random assignment: all requests of a subject meet the same version."""
    ts: float | None = None
    """When it happened, seconds since 1970; asked for, and used, under `clock: event` only."""
    segment: dict[str, str] | None = None


class Answered(msgspec.Struct):
    """One instance's answer."""

    id: str
    score: float
    prediction: str
    version: str
    variant: str


class PredictAnswer(msgspec.Struct):
    """What `/predict` answers, in the order of the instances."""

    predictions: list[Answered]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A checked request."""

    rows: list[Row]
    ids: list[str]
    subject: str | None
    segment: Mapping[str, str] | None
    ts: float

    def unit(self, index: int) -> str:
        """What the draw of a version sticks to."""
        return self.subject if self.subject is not None else self.ids[index]


_DECODER = msgspec.json.Decoder(PredictBody)


def decode_body(raw: bytes, now: float, *, event_clock: bool) -> Call:
    """Check a body. Raises BodyError, whose message names the instance and what is wrong."""
    try:
        body = _DECODER.decode(raw)
    except msgspec.DecodeError as error:  # also what is JSON but not of this shape
        raise BodyError(_said(error)) from None
    n = len(body.instances)
    if not n:
        raise BodyError("instances: at least one is needed")
    if n > INSTANCES_MAX:
        raise BodyError(f"instances: {n} are more than {INSTANCES_MAX}; send several requests")
    return Call(
        rows=[_row(instance, at) for at, instance in enumerate(body.instances)],
        ids=_ids(body.ids, n, now),
        subject=body.subject,
        segment=body.segment,
        ts=_ts(body.ts, now, event_clock=event_clock),
    )


def describe() -> dict[str, Any]:
    """The OpenAPI part of `/predict`: the schemas of its body and of its answer."""
    (body, answer), parts = msgspec.json.schema_components([PredictBody, PredictAnswer])
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": body | {"$defs": parts}}},
        },
        "responses": {
            "200": {
                "description": "One prediction an instance, in their order.",
                "content": {"application/json": {"schema": answer | {"$defs": parts}}},
            },
        },
    }


def _row(instance: dict[str, Value], at: int) -> Row:
    if not instance:
        raise BodyError(f"instances[{at}]: it has no features")
    for name, value in instance.items():
        # Events know numbers and texts; a flag is the number that models see it as.
        if value is True or value is False:
            instance[name] = float(value)
    return instance


def _ids(ids: list[str] | None, n: int, now: float) -> list[str]:
    if ids is None:
        return [new_id(now) for _ in range(n)]
    if len(ids) != n:
        raise BodyError(f"ids: {len(ids)} for {n} instances; send one an instance, or none")
    if "" in ids:
        raise BodyError(f"ids[{ids.index('')}]: it is empty")
    if len(set(ids)) != n:
        twice = next(name for at, name in enumerate(ids) if name in ids[:at])
        raise BodyError(f"ids: {twice!r} stands there twice; labels are joined by it")
    return ids


def _ts(ts: float | None, now: float, *, event_clock: bool) -> float:
    if not event_clock:
        return now
    if ts is None:
        raise BodyError("ts: it is needed, since this server runs under `clock: event`")
    if ts > _MILLISECONDS_FROM:
        raise BodyError(f"ts: {ts:.0f} looks like milliseconds; send seconds since 1970")
    return ts


def _said(error: msgspec.DecodeError) -> str:
    """msgspec says ``Expected …, got … - at `$.instances[3]```: the place goes first."""
    what, found, place = str(error).rpartition(" - at `")
    if not found:
        what, place = str(error), ""
    where = place.rstrip("`").removeprefix("$").removeprefix(".") or "the body"
    return f"{where}: {what[:1].lower()}{what[1:]}"
