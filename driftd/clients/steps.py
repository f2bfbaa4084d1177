"""The elementary calls of one registry operation, under its deadline; what goes wrong is split by kind."""

import os
from collections.abc import Callable, Mapping
from typing import Any

from driftd.clients.bounded import Deadline
from driftd.errors import RefusedError, UnreachableError

# With its defaults the client waits 247 s for a dead server; ours are set before its first import
# and never against the operator's own values. It must not report home either.
_KNOBS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0.5",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # Where the client talks to S3 itself: twice instead of five times.
    "AWS_MAX_ATTEMPTS": "2",
}
# A missing alias is INVALID_PARAMETER_VALUE, a missing version or model RESOURCE_DOES_NOT_EXIST.
ABSENT = "RESOURCE_DOES_NOT_EXIST"
_REFUSALS = frozenset({ABSENT, "INVALID_PARAMETER_VALUE"})
_FORBIDDEN = frozenset({"PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED"})
_STATUS = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: ABSENT}
VERSIONS_MAX = 10_000


class Steps:
    """The calls of one operation; each checks what is left of its time.

    ``what`` says in words what is being done; it begins every error's message.
    """

    def __init__(self, client: Any, deadline: Deadline, what: str) -> None:
        self._client, self._deadline, self._what = client, deadline, what

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """The client's answer. Raises ``RefusedError`` or ``UnreachableError``."""
        function: Callable[..., Any] = getattr(self._client, method)
        try:
            return self._deadline.call(function, *args, **kwargs)
        except (RefusedError, UnreachableError):
            raise
        except Exception as error:
            raise _kind(self._what, error) from error

    def pages(self, method: str, *args: Any, **kwargs: Any) -> list[Any]:
        """All pages of a search, at most ``VERSIONS_MAX`` entries."""
        found: list[Any] = []
        token = None
        while token != "" and len(found) < VERSIONS_MAX:
            page = self.call(method, *args, page_token=token, **kwargs)
            found += page
            token = page.token or ""
        return found

    def aliases(self, name: str) -> dict[str, str]:
        """alias -> version; empty where the registry does not know the model."""
        try:
            model = self.call("get_registered_model", name)
        except RefusedError as refused:
            if code_of(refused.__cause__) == ABSENT:
                return {}
            raise
        return {alias: str(version) for alias, version in model.aliases.items()}

    def version(self, name: str, version: str) -> Any:
        """MLflow's record of a version. Refused if it does not exist."""
        return self.call("get_model_version", name, version)

    def exists(self, name: str, version: str) -> bool:
        """Whether a version is there."""
        try:
            self.version(name, version)
        except RefusedError as refused:
            if code_of(refused.__cause__) == ABSENT:
                return False
            raise
        return True

    def loadable(self, name: str, version: str) -> None:
        """Refused unless the version exists and its upload has ended."""
        status = self.version(name, version).status
        if status != "READY":
            raise RefusedError(f"{name} {version} is {status}, not READY: it cannot be loaded")

    def point(self, name: str, alias: str, version: str) -> None:
        """Let an alias name a version."""
        try:
            self.call("set_registered_model_alias", name, alias, version)
        except UnreachableError:
            # Two writers of a new alias can collide on a unique key, and an answer can be lost:
            # what counts is where the alias points.
            if self.aliases(name).get(alias) != version:
                raise

    def tag(self, name: str, version: str, tags: Mapping[str, str]) -> None:
        """Set tags on a version."""
        for key, value in sorted(tags.items()):
            self.call("set_model_version_tag", name, version, key, value)


def make_client(tracking_uri: str) -> Any:
    """MLflow's client, with bounds of its own that are set before it is imported."""
    for knob, value in _KNOBS.items():
        os.environ.setdefault(knob, value)
    from mlflow.tracking import MlflowClient  # noqa: PLC0415 - 0.6 s, and after the knobs

    return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


def code_of(error: BaseException | None) -> str:
    """MLflow's name of what went wrong, also where its artifact proxy gave a bare HTTP status."""
    answer = getattr(error, "response", None)
    by_status = _STATUS.get(getattr(answer, "status_code", 0), "")
    return str(getattr(error, "error_code", "") or by_status)


def _kind(what: str, error: Exception) -> RefusedError | UnreachableError:
    code = code_of(error)
    user = os.environ.get("MLFLOW_TRACKING_USERNAME", "")
    if code in _FORBIDDEN:
        return RefusedError(
            f"{what}: the registry's user {user!r} may not do this (or there is no such model): "
            "give it EDIT on the registered model and on its experiment, or READ if it only loads"
        )
    if code == "UNAUTHENTICATED":
        # Whoever changes a password means no harm to a candidate: this is waited out.
        return UnreachableError(
            f"{what}: the registry does not know the user {user!r} with this password; set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or mlflow.username in the "
            "settings and the variable that mlflow.password_env names, and start again"
        )
    if isinstance(error, ModuleNotFoundError):
        return UnreachableError(
            f"{what}: its files lie in a store that needs the Python package {error.name}: "
            f"install it beside driftd, or let the server pass the files on (--serve-artifacts)"
        )
    kind = RefusedError if code in _REFUSALS else UnreachableError
    return kind(f"{what}: {_first_line(error)}")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:500]
