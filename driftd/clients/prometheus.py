"""Asks Prometheus for the values of one series over a span of time."""

import asyncio
import math
from collections.abc import Mapping, Sequence

import httpx
import msgspec

from driftd.clients.access import http_options, why_not, why_unreached
from driftd.errors import RefusedError, UnreachableError
from driftd.sections import MODEL_VARIABLE, QUOTED, PrometheusSettings

SECTION = "prometheus"
ANSWER_MAX_BYTES = 16 * 2**20
LABELS_TOLD_MAX = 5
SAID_MAX = 300


class _Series(msgspec.Struct):
    metric: dict[str, str]
    values: list[tuple[float, str]]


class _Data(msgspec.Struct):
    # Vectors and scalars have other shapes; only a matrix is read further.
    resultType: str  # noqa: N815 - Prometheus' own name
    result: msgspec.Raw


class _Answer(msgspec.Struct):
    status: str = ""
    data: _Data | None = None
    error: str = ""


class PrometheusClient:
    """The API v1 of one Prometheus, or of what speaks like one. Close it with ``aclose``.

    Raises ``MistakeError`` when the settings name a secret or a file that is not there.
    """

    def __init__(
        self, settings: PrometheusSettings, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._url = httpx.URL(settings.url.rstrip("/") + "/api/v1/query_range")
        self._deadline_s = settings.deadline_s
        # A proxy of the environment must not stand in between unasked.
        options = http_options(settings, SECTION)
        self._client = httpx.AsyncClient(
            timeout=settings.deadline_s, transport=transport, trust_env=False, **options
        )

    async def aclose(self) -> None:
        """Close the connections that are kept open."""
        await self._client.aclose()

    async def values(
        self, promql: str, start: float, end: float, step: float
    ) -> Mapping[float, float]:
        """Time -> value at ``start``, ``start + step``, … up to ``end``; what has no value is left
        out, NaN as well. Empty where there is no such series.

        Raises RefusedError when Prometheus cannot read the query or it has several series, and
        UnreachableError when it may answer the next time.
        """
        form = {"query": promql, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:g}"}
        found = await self._ask({**form, "timeout": f"{self._deadline_s:g}s"})
        if len(found) > 1:
            raise RefusedError(_several(promql, [series.metric for series in found]))
        values = ((at, float(text)) for series in found for at, text in series.values)
        return {at: value for at, value in values if not math.isnan(value)}

    async def _ask(self, form: Mapping[str, str]) -> Sequence[_Series]:
        try:
            # httpx bounds each phase of a request; the sum of the phases needs a bound of its own.
            async with asyncio.timeout(self._deadline_s):
                answer = await self._client.post(self._url, data=dict(form))
        except TimeoutError as error:
            raise UnreachableError(f"no answer within {self._deadline_s:g} s") from error
        except httpx.HTTPError as error:
            raise UnreachableError(why_unreached(error, SECTION)) from error
        read = _read(answer)
        if answer.is_success and read.data is not None:
            return _matrix(read.data)
        why = why_not(answer.status_code, SECTION, (read.error or answer.text)[:SAID_MAX])
        # 400 and 422 speak of the query, the rest of the server or of the way to it.
        refused = answer.status_code in (httpx.codes.BAD_REQUEST, httpx.codes.UNPROCESSABLE_ENTITY)
        raise RefusedError(why) if refused else UnreachableError(why)


def filled(promql: str, model: str) -> str:
    """The query of one model: ``$model`` in its strings is the model's name, escaped.

    >>> filled('gpu_busy{model="$model"}', 'flight-delay')
    'gpu_busy{model="flight-delay"}'
    """
    escaped = model.replace("\\", "\\\\").replace('"', '\\"').replace("'", "\\'")
    return QUOTED.sub(lambda quoted: MODEL_VARIABLE.sub(lambda _: escaped, quoted[0]), promql)


def _read(answer: httpx.Response) -> _Answer:
    try:
        return msgspec.json.decode(answer.content[:ANSWER_MAX_BYTES], type=_Answer)
    except msgspec.DecodeError:
        return _Answer()


def _matrix(data: _Data) -> list[_Series]:
    try:
        return msgspec.json.decode(data.result, type=list[_Series])
    except msgspec.DecodeError as error:
        why = f"the query gives a {data.resultType}, which has no values over time"
        raise RefusedError(why) from error


def _several(promql: str, metrics: Sequence[Mapping[str, str]]) -> str:
    """Which labels tell the series apart, and how they become one."""
    names = sorted({name for metric in metrics for name in metric})
    differ = [name for name in names if len({metric.get(name, "") for metric in metrics}) > 1]
    told = ", ".join(differ[:LABELS_TOLD_MAX]) + (", …" if len(differ) > LABELS_TOLD_MAX else "")
    return (
        f"the query gives {len(metrics)} series that differ in {told}; a rule compares one: "
        f"aggregate them in prometheus.queries, e.g. max without({told}) ({promql})"
    )
