"""Who we are to the registry, and what the processes that load models may know of it."""

import os

from driftd.errors import MistakeError
from driftd.sections import MlflowSettings

USERNAME, PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
# How to reach the registry. A password for the files' own store is passed on only where the
# settings name its variable: behind a server that passes the files on, nobody needs one.
_PASSED = (
    USERNAME, PASSWORD, "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_SERVER_CERT_PATH",
    "MLFLOW_TRACKING_INSECURE_TLS", "MLFLOW_S3_ENDPOINT_URL", "MLFLOW_S3_IGNORE_TLS",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE", "AWS_REGION",
    "AWS_DEFAULT_REGION", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY",
    "NO_PROXY",
)  # fmt: skip


def log_in(settings: MlflowSettings) -> None:
    """Take the user of the settings for every later call of this process.

    MLflow's client reads these two variables at each call, and a trainer's ``pass_env`` may name
    them. Without ``mlflow.username`` they stay what the environment says. Raises ``MistakeError``
    when the password is missing.
    """
    if settings.username:
        os.environ[USERNAME] = settings.username
        os.environ[PASSWORD] = _password("username", settings.username, settings.password_env)


def model_environment(settings: MlflowSettings) -> dict[str, str]:
    """What a process that loads a model is told, beside what it needs of any program.

    Such a process runs the model's own code. With ``mlflow.reader`` it has that user's name, whose
    READ is enough to load; else ours. Raises ``MistakeError`` when a password is missing.
    """
    names = (*_PASSED, *settings.pass_env)
    passed = {name: os.environ[name] for name in names if name in os.environ}
    if settings.reader:
        passed.pop("MLFLOW_TRACKING_TOKEN", None)
        password = _password("reader", settings.reader, settings.reader_password_env)
        passed |= {USERNAME: settings.reader, PASSWORD: password}
    return passed


def _password(field: str, user: str, variable: str) -> str:
    password = os.environ.get(variable, "")
    if not password:
        raise MistakeError(
            f"mlflow.{field} is {user}, but {variable} is empty: put the password into it, "
            "or name another variable in the settings"
        )
    return password
