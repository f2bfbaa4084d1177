"""An MLflow server: on SQLite and files, or on PostgreSQL and S3, with or without users."""

import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from driftd.demo.children import Children, free_port
from stack.services import Service, answers

ADMIN = "admin"


class Mlflow(Service):
    """One worker. ``backend``: a database address, or None for SQLite in ``folder``; ``artifacts``:
    an S3 address, or None for files. ``auth``: with users; the administrator's password is drawn,
    and who was granted nothing may do what ``everyone`` says."""

    def __init__(
        self,
        children: Children,
        folder: Path,
        *,
        name: str = "mlflow",
        backend: str | None = None,
        artifacts: str | None = None,
        environment: Mapping[str, str] | None = None,
        auth: bool = False,
        everyone: str = "READ",
    ) -> None:
        super().__init__(children, name)
        self._folder = folder
        self._backend = backend or f"sqlite:///{folder.absolute() / 'mlflow.db'}"
        self._artifacts = artifacts or str(folder.absolute() / "artifacts")
        self._environment = dict(environment or {})
        self._auth = auth
        self._everyone = everyone
        self._port = free_port()
        self.admin_password = secrets.token_hex(12)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Write what it needs to know about users, then start and wait (5-15 s)."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._auth:
            (self._folder / "auth.ini").write_text(
                "[mlflow]\n"
                f"default_permission = {self._everyone}\n"
                f"database_uri = sqlite:///{self._folder.absolute() / 'users.db'}\n"
                f"admin_username = {ADMIN}\n"
                f"admin_password = {self.admin_password}\n"
                "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
                "grant_default_workspace_access = true\n"
                # Else every request pays for a password hash.
                "auth_cache_ttl_seconds = 60\n"
            )
        super().start()

    def command(self) -> Sequence[str]:
        """The server with one worker."""
        return [
            *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
            *("--host", "127.0.0.1", "--port", str(self._port)),
            *("--backend-store-uri", self._backend, "--artifacts-destination", self._artifacts),
            *(("--app-name", "basic-auth") if self._auth else ()),
        ]

    def environment(self) -> Mapping[str, str]:
        """No crowd of job workers (1.9 GB against 0.4), no report to anybody."""
        known = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **self._environment}
        if self._auth:
            known["MLFLOW_AUTH_CONFIG_PATH"] = str(self._folder.absolute() / "auth.ini")
            known["MLFLOW_FLASK_SERVER_SECRET_KEY"] = secrets.token_hex(16)
        return known

    def is_ready(self) -> bool:
        """Whether it is healthy."""
        return answers(f"{self.url}/health")
