"""A real Kubernetes API of this machine: etcd, kube-apiserver and the controllers, no nodes."""

import hashlib
import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from driftd.demo.children import Children, free_port
from driftd.errors import MistakeError
from driftd.yamlfile import parse_yaml
from stack.gobuild import build, go
from stack.install import cache, program
from stack.services import Service, answers

VERSION = "v1.34.4"
_LINK = f"-X k8s.io/component-base/version.gitVersion={VERSION}"
_CONTROLLERS = (
    "deployment-controller", "replicaset-controller", "job-controller", "disruption-controller",
    "garbage-collector-controller", "namespace-controller", "serviceaccount-controller",
    "ttl-after-finished-controller",
)  # fmt: skip


class _Part(Service):
    """One of the three processes."""

    def __init__(
        self, children: Children, name: str, arguments: Sequence[str], ready: str = ""
    ) -> None:
        super().__init__(children, f"kube-{name}")
        self._command = [str(build("kube", [_LINK])), name, *arguments]
        self._ready = ready

    def command(self) -> Sequence[str]:
        """The one binary under the part's name."""
        return self._command

    def is_ready(self) -> bool:
        """Whether it answers; controllers are asked nothing."""
        return not self._ready or answers(self._ready)


class Kube:
    """The API of an empty cluster. There is no node: pods are made and never run.

    The first start on a machine builds the binary (about 11 minutes).
    """

    def __init__(self, children: Children, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder.absolute()
        self._token = secrets.token_hex(16)
        client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self._port = free_port()
        self._write_keys()
        self._parts = [
            _Part(children, "etcd", self._etcd(client, peer), f"{client}/health"),
            _Api(children, self._apiserver(client), self),
            _Part(children, "controllers", self._controllers()),
        ]

    @property
    def url(self) -> str:
        """Where the API answers."""
        return f"https://127.0.0.1:{self._port}"

    @property
    def config(self) -> Path:
        """The administrator's kubeconfig."""
        return self._folder / "admin.conf"

    @property
    def ca_file(self) -> Path:
        """Who vouches for the API; there once it is started."""
        return self._folder / "certs" / "apiserver.crt"

    def start(self) -> None:
        """Start all three, in order, and wait until the API is ready."""
        self._write_config()
        for part in self._parts:
            part.start()

    def stop(self) -> None:
        """End all three, the last first."""
        for part in reversed(self._parts):
            part.stop()

    def kubectl(
        self, *arguments: str, text: str | None = None, check: bool = False
    ) -> "subprocess.CompletedProcess[str]":
        """Run kubectl as the administrator; ``text`` is its input."""
        command = [kubectl(), f"--kubeconfig={self.config}", *arguments]
        environment = {**os.environ, "KUBECACHEDIR": str(self._folder / "cache")}
        return subprocess.run(
            command, input=text, env=environment, capture_output=True, text=True, check=check
        )

    def _etcd(self, client: str, peer: str) -> Sequence[str]:
        return [
            *(f"--data-dir={self._folder / 'etcd'}", "--unsafe-no-fsync", "--log-level=error"),
            *(f"--listen-client-urls={client}", f"--advertise-client-urls={client}"),
            *(f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"),
            f"--initial-cluster=default={peer}",
        ]

    def _apiserver(self, etcd: str) -> Sequence[str]:
        folder = self._folder
        return [
            *(f"--etcd-servers={etcd}", f"--secure-port={self._port}"),
            *("--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"),
            *(f"--cert-dir={folder / 'certs'}", "--endpoint-reconciler-type=none"),
            *("--service-cluster-ip-range=10.0.0.0/24", "--authorization-mode=RBAC"),
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={folder / 'sa.pub'}",
            f"--service-account-signing-key-file={folder / 'sa.key'}",
            f"--token-auth-file={folder / 'tokens.csv'}",
        ]

    def _controllers(self) -> Sequence[str]:
        return [
            *(f"--kubeconfig={self.config}", "--leader-elect=false", "--secure-port=0"),
            f"--service-account-private-key-file={self._folder / 'sa.key'}",
            f"--root-ca-file={self.ca_file}",
            f"--controllers={','.join(_CONTROLLERS)}",
        ]

    def _write_keys(self) -> None:
        key = self._folder / "sa.key"
        openssl = str(program("openssl"))
        for command in (
            [openssl, "genrsa", "-out", str(key), "2048"],
            [openssl, "rsa", "-in", str(key), "-pubout", "-out", str(key.with_suffix(".pub"))],
        ):
            subprocess.run(command, check=True, capture_output=True)
        line = f'{self._token},admin,1,"system:masters"\n'
        (self._folder / "tokens.csv").write_text(line, encoding="utf-8")

    def _write_config(self) -> None:
        cluster = {"server": self.url, "certificate-authority": str(self.ca_file)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "here", "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": self._token}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "admin"}}],
            "current-context": "here",
        }
        self.config.write_text(json.dumps(config), encoding="utf-8")


class _Api(_Part):
    """The API server, asked as kubectl asks it: its certificate is made at its first start."""

    def __init__(self, children: Children, arguments: Sequence[str], kube: Kube) -> None:
        super().__init__(children, "apiserver", arguments)
        self._kube = kube

    def is_ready(self) -> bool:
        """Whether it says so itself."""
        done = self._kube.kubectl("get", "--raw", "/readyz", "--request-timeout=5s")
        return done.returncode == 0


def kubectl() -> str:
    """Where kubectl is. Raises ``MistakeError`` when it is nowhere."""
    found = shutil.which("kubectl")
    if found is None:
        raise MistakeError("kubectl 1.28 or newer is needed: kubernetes.io/docs/tasks/tools")
    return found


def rendered(folder: Path) -> str:
    """What ``kubectl kustomize`` makes of a folder. Raises ``MistakeError`` with what it says."""
    command = [kubectl(), "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MistakeError(f"{folder} cannot be rendered: {done.stderr.strip()}")
    return done.stdout


def service_monitor_crd() -> Path:
    """The definition of ServiceMonitor, generated from the Prometheus Operator's own types.

    The first call on a machine builds the generator. Raises ``MistakeError`` where that fails.
    """
    module = Path(__file__).with_name("crds")
    lock = (module / "go.mod").read_bytes() + (module / "go.sum").read_bytes()
    folder = cache() / f"crds-{hashlib.sha256(lock).hexdigest()[:12]}"
    wanted = folder / "monitoring.coreos.com_servicemonitors.yaml"
    if not wanted.exists():
        types = "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
        command = [
            *("nice", "-n", "10", go(), "tool", "controller-gen", "crd:crdVersions=v1"),
            *(f"paths={types}", f"output:crd:dir={folder}"),
        ]
        done = subprocess.run(command, cwd=module, capture_output=True, text=True, check=False)
        if done.returncode or not wanted.exists():
            raise MistakeError(f"stack/crds cannot be generated: {done.stderr.strip()}")
    return wanted


def objects(text: str) -> list[Any]:
    """The objects of a stream of YAML documents."""
    found: list[Any] = []
    for document in text.split("\n---\n"):
        value = parse_yaml(document).values
        if isinstance(value, Mapping):
            found.append(value)
    return found
