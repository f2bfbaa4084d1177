"""Prometheus' Alertmanager, alone or as one of a pair."""

from collections.abc import Sequence
from pathlib import Path

from driftd.demo.children import Children, free_port
from stack.install import program
from stack.services import Service, answers

# Groups wait for nothing, so that a test sees each notification at once.
_CONFIG = """\
route:
  receiver: hook
  group_by: [alertname, model, kind]
  group_wait: 0s
  group_interval: 50ms
  repeat_interval: 1h
receivers:
  - name: hook
"""
_WEBHOOK = """\
    webhook_configs:
      - {{url: "{webhook}", send_resolved: true}}
"""


class Alertmanager(Service):
    """One instance. ``webhook``: who is told, unless ``config`` says all. ``peers``: the cluster
    addresses of others; ``cluster`` is its own once ``clustered``."""

    def __init__(
        self,
        children: Children,
        folder: Path,
        *,
        name: str = "alertmanager",
        webhook: str = "",
        config: Path | None = None,
        clustered: bool = False,
        peers: Sequence[str] = (),
    ) -> None:
        super().__init__(children, name)
        self._folder = folder
        self._webhook = webhook
        self._config = config
        self._port = free_port()
        self._peers = tuple(peers)
        self.cluster = f"127.0.0.1:{free_port()}" if clustered or peers else ""

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Write the configuration where none was given, then start and wait."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._config is None:
            self._config = self._folder / "alertmanager.yml"
            told = _WEBHOOK.format(webhook=self._webhook) if self._webhook else ""
            self._config.write_text(_CONFIG + told)
        super().start()

    def command(self) -> Sequence[str]:
        """The server; without a cluster address it gossips with nobody."""
        return [
            str(program("prometheus-alertmanager")),
            f"--config.file={self._config}",
            f"--storage.path={self._folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
            f"--cluster.listen-address={self.cluster}",
            *(f"--cluster.peer={peer}" for peer in self._peers),
        ]

    def is_ready(self) -> bool:
        """Whether it takes alerts."""
        return answers(f"{self.url}/-/ready")
