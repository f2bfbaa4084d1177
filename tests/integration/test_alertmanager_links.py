"""Every runbook that an alert names is there: by its file, and by a URL when the docs are served."""

import threading
import urllib.request
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, get_args

import pytest
from ruamel.yaml import YAML

from agents.incidents import Incident, Kind
from driftd.control.alerts import links_of
from driftd.sections import AlertmanagerSettings, HttpSettings

ROOT = Path(__file__).parents[2]
KINDS = get_args(Kind)
RULES = sorted((ROOT / "configs" / "prometheus" / "rules").glob("*.yml"))


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: object) -> None:
        """Tests are quiet."""


@pytest.fixture
def served() -> Iterator[str]:
    """The repository's files behind HTTP."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(ROOT)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def runbook(kind: Kind, url: str | None) -> str:
    """The link of an incident's alert."""
    incident = Incident(
        incident_id="i", model="m", kind=kind, severity="info", onset=0, opened=0, summary="s"
    )
    links = links_of(HttpSettings(), AlertmanagerSettings(runbook_url=url), 8321)
    return links.filled(links.runbook, incident)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_incident_has_a_page_that_opens(kind: Kind, served: str) -> None:
    assert (ROOT / runbook(kind, None)).is_file()
    for url in (f"{served}/docs/runbooks/", f"{served}/docs/runbooks/{{kind}}.md"):
        with urllib.request.urlopen(runbook(kind, url), timeout=30) as answer:
            assert answer.read().decode().startswith("# ")


@pytest.mark.parametrize("file", RULES, ids=lambda path: path.name)
def test_each_alert_about_driftd_has_its_heading(file: Path) -> None:
    groups: list[dict[str, Any]] = YAML(typ="safe").load(file)["groups"]
    alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    assert alerts
    for rule in alerts:
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        lines = (ROOT / page).read_text().splitlines()
        assert anchor == rule["alert"].lower()
        assert f"## {rule['alert']}" in lines
