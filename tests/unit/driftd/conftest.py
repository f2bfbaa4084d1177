"""The store's contract runs on both databases: each test gets an empty store of each kind."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.databases import KINDS, postgresql_url, sqlite_url


@pytest.fixture(params=KINDS)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a new store, its schema in place."""
    if request.param == "sqlite":
        yield sqlite_url(tmp_path)
        return
    with postgresql_url(request.getfixturevalue("postgres")) as url:
        yield url
