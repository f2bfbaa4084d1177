"""What happens on which day beside the flights: another team's version, a wrong clock."""

import sys
from pathlib import Path
from typing import Any

import msgspec

from driftd.demo.children import Children
from driftd.demo.client import DaemonClient
from driftd.demo.files import OTHER_TEAM, example
from driftd.demo.flights import MODEL
from driftd.demo.options import DAY_S, DemoOptions
from driftd.demo.schedule import Schedule
from driftd.demo.setup import Ports

PREPARES_S = 14 * DAY_S
"""So long before it hands in its version the other team's pipeline runs."""
OTHER_TEAM_S = 120.0


class Director:
    """Told the days at which the replay stands still; what it does depends on the day and on what the
    daemon does of its own accord, never on what the story would like."""

    def __init__(
        self,
        options: DemoOptions,
        children: Children,
        schedule: Schedule,
        daemon: DaemonClient,
        *,
        flights: Path,
        ports: Ports,
    ) -> None:
        self._options, self._children, self._schedule = options, children, schedule
        self._daemon, self._flights = daemon, flights
        self._ports = ports
        self._report = children.directory / "other-team.json"
        self._preparing = self._handed_in = False
        self.gate: dict[str, Any] = {}
        self.handed_in_at: float | None = None

    def on_day(self, at: float) -> bool:
        """Do what falls on this day, or fell on one since the last call; whether the daemon was
        asked something."""
        if not self._options.fault:
            return False
        if not self._preparing and at >= self._options.external_from - PREPARES_S:
            self._preparing = True
            self._train_elsewhere(at)
        if not self._handed_in and at >= self._options.external_from and self._is_quiet():
            return self._hand_in(at)
        if self._schedule.fault is None and at >= self._options.fault_from and self._is_quiet():
            self._schedule.set_fault(at, at + self._options.fault_days * DAY_S)
        return False

    def _train_elsewhere(self, at: float) -> None:
        command = [
            *(sys.executable, str(example(OTHER_TEAM)), "--flights", str(self._flights)),
            *("--until", str(at), "--report", str(self._report)),
        ]
        environment = {
            "MLFLOW_TRACKING_URI": self._ports.tracking_uri,
            "DRIFTD_REGISTRY_NAME": MODEL,
            "DRIFTD_SEED": str(self._options.seed),
        }
        self._children.start("other-team", command, environment)

    def _hand_in(self, at: float) -> bool:
        self._children.finish("other-team", OTHER_TEAM_S)
        self.gate = msgspec.json.decode(self._report.read_bytes())
        version = self.gate["version"]
        taken = self._daemon.ask(
            "canary", "other-team", {"version": version, "gate": "external"}, f"hand-in-{version}"
        )
        if taken:
            self._handed_in, self.handed_in_at = True, at
        return taken

    def _is_quiet(self) -> bool:
        pulse = self._daemon.pulse()
        return pulse is not None and pulse["stage"] == "watching" and not pulse["rollout"]
