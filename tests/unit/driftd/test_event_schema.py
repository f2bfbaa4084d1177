"""The published schema is the one that the decoding struct gives."""

from pathlib import Path

from driftd.ingest.events import FIELDS
from driftd.ingest.schema import event_schema, event_schema_text

DOCS = Path(__file__).parents[3] / "docs"


def test_the_published_file_is_up_to_date() -> None:
    assert (DOCS / "event.schema.json").read_text() == event_schema_text()


def test_every_field_is_described() -> None:
    properties = event_schema()["properties"]

    assert set(properties) == FIELDS
    assert all(described["description"] for described in properties.values())


def test_the_page_for_people_names_every_field() -> None:
    page = (DOCS / "events.md").read_text()

    assert [name for name in sorted(FIELDS) if f"`{name}`" not in page] == []
