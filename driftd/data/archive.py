"""Joined predictions and labels as dated Parquet parts, in a folder or under an S3 URL."""

import os
import tempfile
import zlib
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from driftd.data.samples import FORMAT, FORMAT_KEY, PENDING, conform
from driftd.errors import MistakeError, UnreachableError

# The archive holds what is pending, once it has its label.
ARCHIVED = PENDING
LIVE = ("champion", "challenger")
DAY_S = 86_400.0


class Archive:
    """``<url>/model=<model>/date=<YYYY-MM-DD>/part-<name>.parquet``; dates are UTC event time.

    A part is whole or absent: files are renamed into place, S3 objects appear when complete.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        if "://" in url:
            try:
                self._files, self._root = pafs.FileSystem.from_uri(url)
            except pa.ArrowInvalid as error:
                raise MistakeError(
                    f"archive: {url} is no URL of a file system: {error}; "
                    "write a folder, file:///… or s3://bucket/…"
                ) from error
        else:
            self._files, self._root = pafs.LocalFileSystem(), str(Path(url).absolute())
        self._local = isinstance(self._files, pafs.LocalFileSystem)

    def write(self, model: str, name: str, rows: pa.Table) -> list[str]:
        """Append labelled rows (columns of ``ARCHIVED``) as one part a date; returns the paths.

        The same ``name`` with the same rows replaces the same files, so that a step that crashed
        after writing may be taken again.
        """
        if not name or quote(name, safe="") != name:
            raise ValueError(f"a part's name is made of letters, digits, -, _ and ., not {name!r}")
        metadata = {FORMAT_KEY: b"%d" % FORMAT}
        rows = conform(rows, ARCHIVED).replace_schema_metadata(metadata)
        days = pc.cast(pc.floor(pc.divide(rows["ts"], DAY_S)), pa.int64())
        paths = []
        for day in sorted(pc.unique(days).to_pylist()):
            folder = f"{self._folder(model)}/date={_date(day)}"
            path = f"{folder}/part-{name}.parquet"
            self._files.create_dir(folder, recursive=True)
            self._put(path, rows.filter(pc.equal(days, day)))
            paths.append(path)
        return paths

    def read(
        self,
        model: str,
        since: float,
        until: float,
        columns: Sequence[str] | None = None,
        *,
        shadows: bool = False,
    ) -> pa.Table:
        """Rows with event time in [since, until), ordered by ts and id, one a request.

        ``shadows``: shadow answers too, then one row an (id, version, variant).
        """
        wanted = list(columns) if columns is not None else ARCHIVED.names
        needed = list(dict.fromkeys([*wanted, "ts", "id", "version", "variant"]))
        parts = self._parts(model, _day(since), _day(until))
        if not parts or until <= since:
            return ARCHIVED.empty_table().select(wanted)
        keep = (ds.field("ts") >= since) & (ds.field("ts") < until)
        if not shadows:
            keep &= ds.field("variant").isin(LIVE)
        source = ds.dataset(parts, schema=ARCHIVED, format="parquet", filesystem=self._files)
        try:
            table = source.to_table(columns=needed, filter=keep)
        except OSError as error:
            raise UnreachableError(f"the archive {self.url} cannot be read: {error}") from error
        order = ("ts", "id", "variant", "version")
        table = table.sort_by([(key, "ascending") for key in order])
        return _unique(table, ("id", "version", "variant") if shadows else ("id",)).select(wanted)

    def some(self, model: str, column: str, rows: int) -> list[Any]:
        """At most ``rows`` values of a column that are not null, of live requests of the newest
        date; cheap however much there is."""
        days = self.dates(model)
        parts = (
            self._parts(model, (days[-1] - _EPOCH).days, (days[-1] - _EPOCH).days) if days else []
        )
        if not parts:
            return []
        source = ds.dataset(parts[-1:], schema=ARCHIVED, format="parquet", filesystem=self._files)
        keep = ds.field("variant").isin(LIVE) & ds.field(column).is_valid()
        try:
            found = source.head(rows, columns=[column], filter=keep, batch_size=10_000)
        except OSError as error:
            raise UnreachableError(f"the archive {self.url} cannot be read: {error}") from error
        return list(found[column].to_pylist())

    def models(self) -> list[str]:
        """The models that have rows."""
        found = self._list(self._root, "model=", pafs.FileType.Directory)
        return sorted(unquote(name.removeprefix("model=")) for name in found)

    def dates(self, model: str) -> list[date]:
        """The dates that have rows, oldest first."""
        found = self._list(self._folder(model), "date=", pafs.FileType.Directory)
        return sorted(date.fromisoformat(name.removeprefix("date=")) for name in found)

    def retain(self, model: str, now: float, keep_s: float) -> list[date]:
        """Delete the dates that lie wholly before ``now - keep_s``; returns them."""
        gone = [day for day in self.dates(model) if day < _date(_day(now - keep_s))]
        for day in gone:
            self._files.delete_dir(f"{self._folder(model)}/date={day}")
        return gone

    def compact(self, model: str, day: date) -> int:
        """Make one part of all of a date; returns how many there were.

        Nothing is lost or read twice when it stops half-way: the whole is written before its parts
        are deleted, and ``read`` takes each row once.
        """
        parts = self._parts(model, (day - _EPOCH).days, (day - _EPOCH).days)
        if len(parts) < 2:
            return len(parts)
        start = (day - _EPOCH).days * DAY_S
        rows = self.read(model, start, start + DAY_S, shadows=True)
        # Named after what went into it: two that do this at once never replace what the other wrote.
        names = "".join(Path(part).name for part in parts)
        [whole] = self.write(model, f"all-{zlib.crc32(names.encode()):08x}", rows)
        for part in parts:
            if part != whole:
                self._files.delete_file(part)
        return len(parts)

    def _folder(self, model: str) -> str:
        # `.` and `..` survive quoting, and would leave the folder.
        return f"{self._root}/model={quote(model, safe='').replace('.', '%2E')}"

    def _parts(self, model: str, first: int, last: int) -> list[str]:
        folder = self._folder(model)
        days = [day for day in self.dates(model) if first <= (day - _EPOCH).days <= last]
        return [
            f"{folder}/date={day}/{name}"
            for day in days
            for name in sorted(self._list(f"{folder}/date={day}", "part-", pafs.FileType.File))
        ]

    def _list(self, folder: str, prefix: str, kind: pafs.FileType) -> list[str]:
        try:
            found = self._files.get_file_info(pafs.FileSelector(folder, allow_not_found=True))
        except OSError as error:
            raise UnreachableError(f"the archive {self.url} cannot be read: {error}") from error
        return [
            one.base_name for one in found if one.type == kind and one.base_name.startswith(prefix)
        ]

    def _put(self, path: str, rows: pa.Table) -> None:
        try:
            if self._local:
                put_file(Path(path), rows)
            else:
                pq.write_table(rows, path, filesystem=self._files, compression="zstd")
        except OSError as error:
            raise UnreachableError(f"the archive {self.url} cannot be written: {error}") from error


def put_file(path: Path, rows: pa.Table) -> None:
    """Write a local Parquet file that is whole or absent, even if the machine loses its power."""
    number, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    try:
        with os.fdopen(number, "wb") as file:
            pq.write_table(rows, file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
        _sync_folder(path.parent)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    # The name of a file is its folder's content, and is written to the disk on its own.
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


_EPOCH = date(1970, 1, 1)


def _day(ts: float) -> int:
    return int(ts // DAY_S)


def _date(day: int) -> date:
    return _EPOCH + timedelta(days=day)


def _unique(table: pa.Table, keys: Sequence[str]) -> pa.Table:
    """The first row of each combination of keys."""
    rows = pa.array(np.arange(table.num_rows))
    numbered = table.select(list(keys)).append_column("_row", rows)
    first = numbered.group_by(list(keys)).aggregate([("_row", "min")])["_row_min"]
    return table.take(pa.array(np.sort(first.to_numpy())))
