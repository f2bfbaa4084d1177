"""Heavy work runs in a process of its own and answers, or raises, as if it had run here."""

import asyncio
import os
from functools import partial

import pyarrow as pa
import pytest

from driftd.control.apart import apart
from driftd.data.archive import Archive
from driftd.data.export import export_training
from driftd.errors import MistakeError


def test_it_is_another_process() -> None:
    assert asyncio.run(apart(os.getpid)) != os.getpid()


def test_what_the_work_raises_is_raised_here(tmp_path: os.PathLike[str]) -> None:
    archive = Archive(str(tmp_path))
    export = partial(apart, export_training, archive, "m", 0.0, 1.0, tmp_path, phase="gate")

    with pytest.raises(MistakeError, match="no labelled request of m"):
        asyncio.run(export())


def test_tables_come_back_whole() -> None:
    assert asyncio.run(apart(pa.table, {"a": [1, 2]})) == pa.table({"a": [1, 2]})
