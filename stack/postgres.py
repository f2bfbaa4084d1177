"""A PostgreSQL server of its own: loopback, a password, nothing that survives the folder."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import psycopg

from driftd.demo.children import Children, free_port
from stack.install import program
from stack.services import Service

USER, PASSWORD = "driftd", "secret"
# initdb and postgres refuse to run as root; in a user namespace root is somebody else.
_AS_SOMEBODY = ("unshare", "-U", "--map-user=1000", "--map-group=1000")


class Postgres(Service):
    """One server. ``durable`` False leaves out fsync: a kill of the process still loses nothing."""

    def __init__(
        self, children: Children, folder: Path, *, name: str = "postgres", durable: bool = False
    ) -> None:
        super().__init__(children, name)
        self._folder = folder
        self._durable = durable
        self.port = free_port()

    def start(self) -> None:
        """Make the cluster the first time, then start and wait."""
        if not (self._folder / "data").exists():
            self._initialise()
        # What a kill -9 left behind would stand in the way.
        (self._folder / "data" / "postmaster.pid").unlink(missing_ok=True)
        super().start()

    def command(self) -> Sequence[str]:
        """The server in the foreground."""
        return [
            *_somebody(),
            *(str(program("postgres")), "-D", str(self._folder / "data"), "-p", str(self.port)),
            *("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="),
            *("-c", f"fsync={'on' if self._durable else 'off'}", "-c", "max_connections=200"),
            *("-c", "max_wal_size=256MB", "-c", "shared_buffers=64MB"),
        ]

    def is_ready(self) -> bool:
        """Whether somebody with the password gets in."""
        try:
            with self._connect("postgres"):
                return True
        except psycopg.OperationalError:
            return False

    def url(self, database: str = "postgres", *, driver: str = "+psycopg") -> str:
        """The address of a database, as SQLAlchemy takes it."""
        return f"postgresql{driver}://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> str:
        """Make an empty database; its address."""
        with self._connect("postgres") as connection:
            connection.execute(f'CREATE DATABASE "{database}"')
        return self.url(database)

    def _connect(self, database: str) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(
            f"host=127.0.0.1 port={self.port} user={USER} password={PASSWORD} dbname={database}",
            autocommit=True,
            connect_timeout=5,
        )

    def _initialise(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        secret = self._folder / "password"
        secret.write_text(PASSWORD)
        command = [
            *_somebody(),
            *(str(program("initdb")), "-D", str(self._folder / "data"), "-U", USER),
            *("-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--locale=C.UTF-8"),
            "--no-sync",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"initdb failed: {done.stderr}")


def _somebody() -> tuple[str, ...]:
    return _AS_SOMEBODY if os.geteuid() == 0 else ()
