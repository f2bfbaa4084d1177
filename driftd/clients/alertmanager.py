"""Posts alerts to every Alertmanager of a list; one that fails does not keep the others waiting."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import httpx

from agents.alerter import Alert
from driftd.clients.access import http_options, why_not, why_unreached
from driftd.errors import OutsideError, RefusedError, UnreachableError
from driftd.sections import AccessSettings

SECTION = "alertmanager"
TIMEOUT_S = 5.0
# What an answer may add to an error message; Alertmanager's own messages are one line.
ANSWER_SHOWN_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One Alertmanager that did not take the alerts; ``url`` without its credentials."""

    url: str
    error: OutsideError


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """``taken`` of the Alertmanagers took the alerts; the rest stand in ``failures``."""

    taken: int
    failures: tuple[Failure, ...] = ()


class AlertmanagerClient:
    """Alertmanager API v2, for all instances of a cluster at once.

    Alertmanager does not pass alerts on to its peers (only silences and notification logs are
    gossiped), so that each instance must be told: https://prometheus.io/docs/alerting/latest/
    high_availability/. Use within one event loop and close it: ``async with`` or ``aclose``.
    Raises ``MistakeError`` when ``access`` names a secret or a file that is not there.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        access: AccessSettings | None = None,
        timeout_s: float = TIMEOUT_S,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._urls = tuple(httpx.URL(url.rstrip("/") + "/api/v2/alerts") for url in urls)
        self._timeout_s = timeout_s
        # A proxy of the environment must not stand between the daemon and its alerts unasked.
        options = http_options(access or AccessSettings(), SECTION)
        self._client = httpx.AsyncClient(
            timeout=timeout_s, transport=transport, trust_env=False, **options
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections that are kept open."""
        await self._client.aclose()

    async def send(self, alerts: Sequence[Alert]) -> Delivery:
        """Post ``alerts`` to every URL at once; the call lasts ``timeout_s`` at most.

        Raises when not one Alertmanager took them: RefusedError if all of them answered no,
        UnreachableError if at least one may take them the next time.
        """
        if not alerts or not self._urls:
            return Delivery(taken=0)
        body = [alert_json(alert) for alert in alerts]
        failures = await asyncio.gather(*(self._post(url, body) for url in self._urls))
        failed = tuple(failure for failure in failures if failure is not None)
        if len(failed) < len(self._urls):
            return Delivery(taken=len(self._urls) - len(failed), failures=failed)
        told = "; ".join(f"{failure.url}: {failure.error}" for failure in failed)
        if all(isinstance(failure.error, RefusedError) for failure in failed):
            raise RefusedError(f"no Alertmanager took the alerts: {told}")
        raise UnreachableError(f"no Alertmanager took the alerts: {told}")

    async def _post(self, url: httpx.URL, body: list[dict[str, Any]]) -> Failure | None:
        shown = str(url.copy_with(userinfo=b""))
        try:
            # httpx bounds each phase of a request; the sum of the phases needs a bound of its own.
            async with asyncio.timeout(self._timeout_s):
                answer = await self._client.post(url, json=body)
        except TimeoutError:
            return Failure(
                url=shown, error=UnreachableError(f"no answer within {self._timeout_s:g} s")
            )
        except httpx.HTTPError as error:
            return Failure(url=shown, error=UnreachableError(why_unreached(error, SECTION)))
        if answer.is_success:
            return None
        why = why_not(answer.status_code, SECTION, answer.text[:ANSWER_SHOWN_MAX])
        # 429 and the 5xx speak of the server's state, the other codes of what was sent.
        again = answer.status_code == httpx.codes.TOO_MANY_REQUESTS or answer.is_server_error
        return Failure(url=shown, error=UnreachableError(why) if again else RefusedError(why))


def alert_json(alert: Alert) -> dict[str, Any]:
    """One alert as API v2 reads it; times in RFC 3339."""
    plain: dict[str, Any] = {
        "labels": alert.labels,
        "annotations": alert.annotations,
        "startsAt": _rfc3339(alert.starts_at),
        "endsAt": _rfc3339(alert.ends_at),
    }
    if alert.link:
        plain["generatorURL"] = alert.link
    return plain


def _rfc3339(seconds: float) -> str:
    return (
        datetime.fromtimestamp(seconds, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )
