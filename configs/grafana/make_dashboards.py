"""Writes the three dashboards as JSON: `python -m configs.grafana.make_dashboards`."""

from collections.abc import Mapping
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from configs.grafana.daemon import daemon
from configs.grafana.fleet import fleet
from configs.grafana.model import model

FOLDER = Path(__file__).with_name("dashboards")


def dashboards() -> Mapping[str, str]:
    """File name -> its text."""
    encoder = JSONEncoder(sort_keys=True, indent=2)
    pages = {"fleet": fleet(), "model": model(), "daemon": daemon()}
    return {f"{name}.json": encoder.encode(page.build()) + "\n" for name, page in pages.items()}


def main() -> None:
    """Write all files."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in dashboards().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
