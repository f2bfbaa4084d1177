"""Writes the three dashboards as JSON: `python -m configs.grafana.make_dashboards`."""

from collections.abc import Mapping
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from configs.grafana.daemon import daemon
from configs.grafana.fleet import fleet
from configs.grafana.model import model

FOLDER = Path(__file__).with_name("dashboards")


def dashboards() -> Mapping[str, str]:
    """File name -> its text."""
    encoder = JSONEncoder(sort_keys=True, indent=2)
    pages = {"fleet": fleet(), "model": model(), "daemon": daemon()}
    return {
        f"{name}.json": encoder.encode(_numbered(page.build())) + "\n"
        for name, page in pages.items()
    }


def _numbered(page: Dashboard) -> Dashboard:
    """The same with an id for each panel and a letter for each of its queries, as Grafana gives."""
    for number, panel in enumerate(page.panels or (), start=1):
        panel.id_val = number
        for letter, target in zip(
            "ABCDEFGHIJ", getattr(panel, "targets", None) or (), strict=False
        ):
            target.ref_id = letter
    return page


def main() -> None:
    """Write all files."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in dashboards().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
