"""Users of an MLflow server: who may do what, and acting as one of them."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from driftd.clients.environment import PASSWORD, USERNAME
from driftd.clients.steps import make_client
from stack.mlflow import ADMIN, Mlflow


class Guarded:
    """A server with users. ``passwords``: user -> password, the administrator among them."""

    def __init__(self, server: Mlflow) -> None:
        self.server = server
        self.passwords = {ADMIN: server.admin_password}

    @property
    def url(self) -> str:
        """Its address."""
        return self.server.url

    @contextmanager
    def acting(self, user: str, password: str | None = None) -> Iterator[Any]:
        """MLflow's client as ``user``; every client of this process is that user meanwhile."""
        mine = {USERNAME: user, PASSWORD: password or self.passwords[user]}
        before = {name: os.environ.get(name) for name in mine}
        os.environ.update(mine)
        try:
            yield make_client(self.url)
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value

    def user(self, name: str) -> None:
        """Make a user who may do nothing; one that is there stays."""
        if name not in self.passwords:
            password = secrets.token_hex(12)
            self._post("2.0/mlflow/users/create", username=name, password=password)
            self.passwords[name] = password

    def grant(self, user: str, permission: str, *, model: str = "", experiment: str = "") -> None:
        """Give a right on a registered model, on an experiment (by its id), or on both."""
        self.user(user)
        for kind, resource in (("registered_model", model), ("experiment", experiment)):
            if resource:
                self._post(
                    "3.0/mlflow/users/permissions/grant",
                    username=user,
                    resource_type=kind,
                    resource_id=resource,
                    permission=permission,
                )

    def _post(self, path: str, **body: str) -> None:
        answer = httpx.post(
            f"{self.url}/api/{path}",
            json=body,
            auth=(ADMIN, self.passwords[ADMIN]),
            timeout=60.0,
        )
        answer.raise_for_status()
