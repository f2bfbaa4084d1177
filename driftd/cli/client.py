"""The daemon's HTTP API as the commands use it: one place for address, token and errors."""

import getpass
import os
from typing import Any
from urllib.parse import quote

import httpx

from driftd.errors import MistakeError, RefusedError, UnreachableError

DEFAULT_API = "http://127.0.0.1:8321"
API_ENV, TOKEN_ENV = "DRIFTD_API", "DRIFTD_TOKEN"


class MovedOnError(MistakeError):
    """What was expected to be in force is not: look at what is, then decide."""


def api_address(given: str | None) -> str:
    """``--api``, else the environment, else the local daemon."""
    return (given or os.environ.get(API_ENV) or DEFAULT_API).rstrip("/")


def call(method: str, path: str, *, api: str | None = None, body: Any = None) -> Any:
    """One call; raises UnreachableError, MistakeError (4xx) or RefusedError with the next step."""
    address = api_address(api)
    token = os.environ.get(TOKEN_ENV)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        answer = httpx.request(method, f"{address}{path}", json=body, headers=headers, timeout=10.0)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UnreachableError(
            f"no daemon answers at {address} ({error}). Is `driftd run` up? "
            f"Give its address with --api or {API_ENV}."
        ) from error
    if answer.status_code in {401, 403}:
        raise RefusedError(f"{address} wants its token: put it into {TOKEN_ENV}.")
    if answer.status_code == httpx.codes.CONFLICT:
        raise MovedOnError(_detail(answer))
    if answer.is_client_error:
        raise MistakeError(_detail(answer))
    if answer.is_error:
        raise RefusedError(f"{address} failed: {answer.status_code} {_detail(answer)}")
    try:
        if answer.is_success:
            return answer.json()
    except ValueError:
        pass
    raise RefusedError(
        f"what answers at {address} is no driftd daemon; give its address with --api or {API_ENV}."
    )


def model_path(model: str, *more: str) -> str:
    """The path of one model; its name is one part, whatever stands in it."""
    return "/".join(["/api/models", quote(model, safe=""), *more])


def who(given: str | None) -> str:
    """``--by``, else the login name; a container may know its user by number only."""
    if given:
        return given
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _detail(answer: httpx.Response) -> str:
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return answer.text[:500]
    if isinstance(detail, list):
        return "\n".join(map(_line, detail))
    return str(detail)


def _line(mistake: Any) -> str:
    if isinstance(mistake, dict) and "loc" in mistake:
        return f"{'.'.join(map(str, mistake['loc']))}: {mistake.get('msg', '')}"
    return str(mistake)
