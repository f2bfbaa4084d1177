"""A Prometheus server that scrapes what its configuration names."""

import json
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from driftd.demo.children import Children, free_port
from stack.install import program
from stack.services import Service, answers


class Prometheus(Service):
    """One server with the configuration file ``config``."""

    def __init__(
        self, children: Children, folder: Path, config: Path, *, name: str = "prometheus"
    ) -> None:
        super().__init__(children, name)
        self._folder = folder
        self._config = config
        self._port = free_port()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._port}"

    def command(self) -> Sequence[str]:
        """The server; an hour of samples is enough here."""
        return [
            str(program("prometheus")),
            f"--config.file={self._config}",
            f"--storage.tsdb.path={self._folder / 'tsdb'}",
            "--storage.tsdb.retention.time=1h",
            f"--web.listen-address=127.0.0.1:{self._port}",
            "--web.enable-lifecycle",
        ]

    def is_ready(self) -> bool:
        """Whether it answers queries."""
        return answers(f"{self.url}/-/ready")

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of an instant query. Raises ``urllib.error.HTTPError`` for a wrong one."""
        asked = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"{self.url}/api/v1/query?{asked}", timeout=30) as answer:
            data = json.load(answer)["data"]
        found: list[dict[str, Any]] = data["result"]
        if data["resultType"] == "scalar":
            return [{"metric": {}, "value": data["result"]}]
        return found
