"""Tokens are shared, renewed before they expire, and their absence is told with the way out."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.errors import KafkaConnectionError

from driftd import kafka_oauth
from driftd.kafka_oauth import TokenError, TokenProvider, TokenSource
from driftd.sections import OAuthSettings
from stack.tokens import TokenServer


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenServer]:
    with TokenServer(tmp_path_factory.mktemp("tokens"), {"driftd": "secret"}) as tokens:
        yield tokens


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that stand still until they are changed."""
    now = [1_000.0]
    monkeypatch.setattr(kafka_oauth, "steady_now", lambda: now[0])
    return now


def oauth(endpoint: TokenServer, **more: str) -> OAuthSettings:
    given = {"token_url": endpoint.token_url, "client_id": "driftd", **more}
    return OAuthSettings.model_validate(given)


def test_a_token_is_kept_until_it_is_nearly_over(endpoint: TokenServer, clock: list[float]) -> None:
    source = TokenSource(oauth(endpoint, scope="kafka"), "secret")
    before = endpoint.answered
    first = asyncio.run(TokenProvider(source).token())
    clock[0] += 0.79 * endpoint.life_s

    assert source.get() == first
    assert endpoint.answered == before + 1

    clock[0] += 0.02 * endpoint.life_s
    source.get()
    assert endpoint.answered == before + 2


def test_an_endpoint_that_is_away_is_no_harm_while_the_token_is_good(
    endpoint: TokenServer, clock: list[float]
) -> None:
    source = TokenSource(oauth(endpoint), "secret")
    token = source.get()
    secret = endpoint.clients.pop("driftd")
    try:
        clock[0] += 0.9 * endpoint.life_s
        assert source.get() == token
        clock[0] += 0.2 * endpoint.life_s
        with pytest.raises(TokenError):
            source.get()
    finally:
        endpoint.clients["driftd"] = secret
    assert source.get()


def test_a_wrong_secret_is_told_with_the_names_to_mend(endpoint: TokenServer) -> None:
    with pytest.raises(TokenError) as caught:
        TokenSource(oauth(endpoint), "guessed").get()

    told = str(caught.value)
    for part in ("invalid_client", "kafka.security.oauth.client_id", "DRIFTD_KAFKA_CLIENT_SECRET"):
        assert part in told
    # Its clients take it for a broker that is away, and try again.
    assert isinstance(caught.value, KafkaConnectionError)


@pytest.mark.parametrize("path", ["http://127.0.0.1:9/token", "http://no-such-host.invalid/token"])
def test_an_absent_endpoint_is_named(endpoint: TokenServer, path: str) -> None:
    with pytest.raises(TokenError, match=f"token_url {path} gives no token"):
        TokenSource(oauth(endpoint, token_url=path), "secret").get()


def test_an_answer_that_is_no_token_is_told(tmp_path: Path) -> None:
    class Odd(TokenServer):
        def answer(self, authorization: str, form: str) -> tuple[int, dict[str, str]]:
            return 200, {"token": "elsewhere"}

    with Odd(tmp_path, {}) as odd, pytest.raises(TokenError, match="without an access_token"):
        TokenSource(oauth(odd), "secret").get()
