"""Real Alertmanagers for tests of alerts: pairs that gossip, and what they know."""

import asyncio
import json
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agents.alerter import Alert
from driftd.clients.alertmanager import AlertmanagerClient, Delivery
from driftd.clock import wall_now
from driftd.demo.children import Children
from driftd.sections import AccessSettings
from stack.alertmanager import Alertmanager

WAIT_S = 60.0
# The second of a pair waits for the first before it tells. News that come meanwhile would make it
# tell what is no longer so, so groups have to change more slowly than that, here as in production.
_PAIR = """\
route:
  receiver: hook
  group_by: [alertname, model, kind]
  group_wait: 0s
  group_interval: 2s
receivers:
  - name: hook
    webhook_configs:
      - {{url: "{webhook}", send_resolved: true}}
"""


class Told(Alertmanager):
    """One that gossips quickly, or has what ``more`` says beside."""

    more: Sequence[str] = ()

    def command(self) -> Sequence[str]:
        """The server, quick to believe that a peer is silent."""
        quick = ["--cluster.peer-timeout=300ms", "--cluster.settle-timeout=1s"]
        return [*super().command(), *quick, *self.more]

    def alerts(self) -> list[dict[str, Any]]:
        """All that it knows to burn."""
        with urllib.request.urlopen(f"{self.url}/api/v2/alerts", timeout=30) as answer:
            found: list[dict[str, Any]] = json.load(answer)
        return found

    def counted(self, name: str) -> float:
        """The sum of a metric of its own."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        rows = [line.rsplit(" ", 1) for line in lines if line[0] != "#"]
        return sum(float(value) for key, value in rows if key.split("{")[0] == name)


def pair(children: Children, folder: Path, webhook: str) -> tuple[Told, Told]:
    """Two that gossip, started and acquainted."""
    config = folder / "pair.yml"
    config.write_text(_PAIR.format(webhook=webhook))
    first = Told(children, folder / "a", name="am-a", config=config, clustered=True)
    first.start()
    second = Told(children, folder / "b", name="am-b", config=config, peers=[first.cluster])
    second.start()
    members = "alertmanager_cluster_members"
    until(lambda: first.counted(members) == second.counted(members) == 2, "they know each other")
    return first, second


def until(is_so: Callable[[], bool], what: str) -> None:
    """Wait for what must come true."""
    deadline = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < deadline, f"{what}: not so"
        time.sleep(0.05)


def alert(model: str, *, kind: str = "data_fault", ended: bool = False, **labels: str) -> Alert:
    """An alert that burns since a minute ago, or has just ended."""
    names = {"data_fault": "DriftdDataFault", "input_drift": "DriftdInputDrift"}
    now = wall_now()
    return Alert(
        labels={
            "alertname": names.get(kind, f"Driftd{kind.capitalize()}"),
            "model": model, "kind": kind, "severity": "warning", "owner": "ml-delays", **labels,
        },
        annotations={
            "summary": f"Data fault in {model}: minute_of_day is shifted",
            "description": "Probable cause: minute_of_day is shifted by +240 min (mod 1440).",
            "onset": "2013-06-18T00:00:00Z",
            "streams": "minute_of_day",
            "incident_id": "a1b2c3d4e5f60718",
            "report_url": f"https://driftd.example.com/api/models/{model}/report#incident-a1b2",
            "runbook_url": "docs/runbooks/data_fault.md",
        },
        starts_at=now - 60,
        ends_at=now - 0.001 if ended else now + 900,
    )  # fmt: skip


def send(urls: Sequence[str], *alerts: Alert, access: AccessSettings | None = None) -> Delivery:
    """Post, as the daemon does."""

    async def post() -> Delivery:
        async with AlertmanagerClient(urls, access=access) as client:
            return await client.send(alerts)

    return asyncio.run(post())
