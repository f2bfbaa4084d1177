"""A router by HTTP: posts the full routing to a URL, for gateways and meshes that we do not know."""

from collections.abc import Mapping, Sequence

import httpx
import msgspec
import tenacity

from agents.commands import Routing
from driftd.errors import RefusedError, UnreachableError

ATTEMPTS_MAX = 4
BACK_OFF_FIRST_S, BACK_OFF_MAX_S = 0.2, 2.0
# "Too early", "too many", "time-out": the other side asks to come again.
_AGAIN = frozenset({408, 425, 429})


class Webhook:
    """POSTs `{"model", "epoch", "routes": [{"version", "variant", "weight"}], "shadows":
    [{"version", "share"}], "loaded": [...], "barred": [...]}` with the header `Idempotency-Key:
    MODEL/EPOCH`. 2xx = done; 408, 425, 429, 5xx and silence = again; any other = refused.

    The receiver must ignore an epoch that is below the highest it has seen of that model.
    """

    def __init__(
        self, url: str, deadline_s: float = 10.0, headers: Mapping[str, str] | None = None
    ) -> None:
        self._url = url
        self._client = httpx.Client(
            timeout=httpx.Timeout(deadline_s / ATTEMPTS_MAX),
            headers={"Content-Type": "application/json", **(headers or {})},
        )
        self._again = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(UnreachableError),
            stop=tenacity.stop_after_attempt(ATTEMPTS_MAX) | tenacity.stop_before_delay(deadline_s),
            wait=tenacity.wait_exponential(multiplier=BACK_OFF_FIRST_S, max=BACK_OFF_MAX_S),
            reraise=True,
        )

    def apply(self, routing: Routing) -> None:
        """Post it. Raises UnreachableError or RefusedError."""
        self._again(self._post, routing)

    def republish(self, routings: Sequence[Routing]) -> None:
        """Post each. Raises at the first that failed."""
        for routing in routings:
            self.apply(routing)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _post(self, routing: Routing) -> None:
        try:
            answer = self._client.post(
                self._url,
                content=msgspec.json.encode(routing),
                headers={"Idempotency-Key": f"{routing.model}/{routing.epoch}"},
            )
        except httpx.TransportError as error:
            raise UnreachableError(f"{self._url}: {type(error).__name__}: {error}") from error
        if answer.is_success:
            return
        said = f"{self._url} answered {answer.status_code}: {answer.text[:200]}"
        if answer.status_code in _AGAIN or answer.is_server_error:
            raise UnreachableError(said)
        raise RefusedError(said)
