"""Sets the stage: broker, registry, the champion of January with its profile, daemon and server."""

import contextlib
import http.client
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from agents.commands import MoveAlias
from driftd.clients.registry import Registry
from driftd.data.export import ID, LABEL, MANIFEST, SUBJECT, TRAIN, TS
from driftd.data.profile import build_profile
from driftd.data.samples import subject_hash
from driftd.demo.children import Children, driftd_command
from driftd.demo.client import DaemonClient
from driftd.demo.files import TRAINER, example
from driftd.demo.flights import CATEGORIES, FEATURES, LATE, MODEL, ON_TIME

MLFLOW_READY_S, TRAIN_S, DAEMON_READY_S, SERVER_READY_S = 120.0, 180.0, 90.0, 120.0
FIRST_OP_ID = "the-first-champion"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where things listen on the loopback."""

    mlflow: int
    daemon: int

    @property
    def tracking_uri(self) -> str:
        """Where the registry is."""
        return f"http://127.0.0.1:{self.mlflow}"


def start_mlflow(children: Children, port: int) -> None:
    """One worker on SQLite and files; it takes 5-15 s until ``wait_for_mlflow`` returns."""
    home = children.directory / "mlflow"
    home.mkdir(exist_ok=True)
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--backend-store-uri", f"sqlite:///{home.absolute() / 'mlflow.db'}"),
        *("--artifacts-destination", str(home.absolute() / "artifacts")),
    ]
    # By default it starts a crowd of job workers that nobody here needs (1.9 GB against 0.4).
    children.start("mlflow", command, {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"})


def wait_for_mlflow(children: Children, port: int) -> None:
    """Return when the registry answers, and knows the model's name."""
    children.wait_until("mlflow", lambda: _status(port, "GET", "/health") == 200, MLFLOW_READY_S)
    body = json.dumps({"name": MODEL}).encode()
    _status(port, "POST", "/api/2.0/mlflow/registered-models/create", body)


def write_january(folder: Path, january: pd.DataFrame) -> None:
    """The first champion's training data, in the form in which driftd exports its archive."""
    folder.mkdir(parents=True, exist_ok=True)
    known = january[january["late"].notna()]
    table = pa.table(
        {
            ID: known["id"].to_numpy(),
            SUBJECT: [subject_hash(subject) for subject in known["subject"]],
            TS: known["hour_ts"].to_numpy(),
            LABEL: known["late"].to_numpy().astype("int8"),
            **{name: known[name].to_numpy() for name in FEATURES},
        }
    )
    pq.write_table(table, folder / TRAIN)
    kinds = {name: "text" if name in CATEGORIES else "number" for name in FEATURES}
    (folder / MANIFEST).write_text(json.dumps({"format": 1, "columns": kinds}))


def train_champion(children: Children, data: Path, tracking_uri: str, seed: int) -> None:
    """Train version 1 as every later version is trained, log its profile, point the alias at it."""
    environment = {
        "MLFLOW_TRACKING_URI": tracking_uri,
        "DRIFTD_REGISTRY_NAME": MODEL,
        "DRIFTD_OP_ID": FIRST_OP_ID,
        "DRIFTD_DATA": str(data.absolute()),
        "DRIFTD_SEED": str(seed),
    }
    children.start("champion", [sys.executable, str(example(TRAINER))], environment)
    profile = build_profile(data / TRAIN, version="1", positive=LATE, negative=ON_TIME)
    children.finish("champion", TRAIN_S)
    children.stop("champion")
    registry = Registry(tracking_uri)
    registry.log_profile(MODEL, "1", profile.to_bytes())
    registry.move_champion(
        MoveAlias(
            op_id=FIRST_OP_ID,
            model=MODEL,
            registry=MODEL,
            champion_alias="champion",
            previous_alias="previous",
            expect="",
            to="1",
            previous="",
        )
    )


def start_daemon(children: Children, settings: Path) -> None:
    """``driftd run``; also after it was killed."""
    children.start("daemon", driftd_command("run", "--settings", str(settings)))


def start_server(children: Children, settings: Path) -> Path:
    """``driftd serve``; the file in which it will name its port."""
    ready = children.directory / "server.ready"
    ready.unlink(missing_ok=True)
    command = driftd_command(
        *("serve", MODEL, "--settings", str(settings), "--port", "0", "--ready", str(ready)),
        *("--log-level", "warning"),
    )
    children.start("server", command)
    return ready


def wait_until_served(children: Children, ready: Path, daemon: DaemonClient) -> int:
    """Return the server's port when both take part and the daemon knows the model."""
    children.wait_until("daemon", daemon.is_ready, DAEMON_READY_S)
    children.wait_until("server", ready.exists, SERVER_READY_S)
    children.wait_until("daemon", lambda: _knows(daemon), DAEMON_READY_S)
    return int(msgspec.json.decode(ready.read_bytes())["port"])


def _knows(daemon: DaemonClient) -> bool:
    status = daemon.status()
    return status is not None and bool(status["champion"]) and not status["busy"]


def _status(port: int, method: str, path: str, body: bytes | None = None) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
