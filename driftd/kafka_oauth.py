"""Tokens for OAUTHBEARER: fetched with client credentials, kept, and renewed before they expire."""

import asyncio
import threading
from functools import cache

import httpx
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaConnectionError

from driftd.clock import steady_now
from driftd.sections import OAuthSettings

DEADLINE_S = 10.0
# A token is renewed when this share of its life is over.
RENEW_AT = 0.8
# Of a token whose answer does not say it.
LIFE_UNSAID_S = 60.0
SAID_MAX = 200


class TokenError(KafkaConnectionError):
    """No token. The clients take it for a broker that is away, and try again."""


class TokenSource:
    """The token of one client at one endpoint; safe from several threads."""

    def __init__(self, oauth: OAuthSettings, secret: str) -> None:
        self._oauth = oauth
        self._secret = secret
        self._lock = threading.Lock()
        self._token = ""
        self._renew_at = self._expires_at = 0.0

    def get(self) -> str:
        """A token that is good for a while. Raises ``TokenError`` that says what to do."""
        with self._lock:
            if steady_now() >= self._renew_at:
                try:
                    self._renew()
                except TokenError:
                    if steady_now() >= self._expires_at:
                        raise
            return self._token

    def _renew(self) -> None:
        asked = steady_now()
        answer = self._ask()
        token, life_s = answer.get("access_token"), answer.get("expires_in", LIFE_UNSAID_S)
        if not isinstance(token, str) or not token:
            raise TokenError(f"{self._where} answered without an access_token")
        life = float(life_s) if isinstance(life_s, int | float | str) else LIFE_UNSAID_S
        self._token = token
        self._renew_at, self._expires_at = asked + RENEW_AT * life, asked + life

    def _ask(self) -> dict[str, object]:
        form = {"grant_type": "client_credentials"}
        if self._oauth.scope:
            form["scope"] = self._oauth.scope
        try:
            answer = httpx.post(
                str(self._oauth.token_url),
                data=form,
                auth=(self._oauth.client_id, self._secret),
                timeout=DEADLINE_S,
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise TokenError(f"{self._where} gives no token: {error or repr(error)}") from error
        if answer.status_code in (400, 401, 403):
            raise TokenError(
                f"{self._where} refuses a token ({answer.status_code} {_said(answer)}): "
                f"kafka.security.oauth.client_id {self._oauth.client_id}, the secret in "
                f"{self._oauth.client_secret_env} or scope {self._oauth.scope!r} is wrong"
            )
        try:
            found = answer.raise_for_status().json()
        except (httpx.HTTPStatusError, ValueError) as error:
            raise TokenError(
                f"{self._where} gives no token: {answer.status_code} {_said(answer)}"
            ) from error
        return found if isinstance(found, dict) else {}

    @property
    def _where(self) -> str:
        return f"kafka.security.oauth.token_url {self._oauth.token_url}"


class TokenProvider(AbstractTokenProvider):
    """The source as aiokafka asks for it; the event loop does not wait for the endpoint."""

    def __init__(self, source: TokenSource) -> None:
        self.source = source

    async def token(self) -> str:
        """A token that is good for a while. Raises ``TokenError``."""
        return await asyncio.to_thread(self.source.get)


@cache
def token_source(oauth: OAuthSettings, secret: str) -> TokenSource:
    """The one source of these credentials in this process: all clients share a token."""
    return TokenSource(oauth, secret)


def _said(answer: httpx.Response) -> str:
    return " ".join(answer.text.split())[:SAID_MAX]
