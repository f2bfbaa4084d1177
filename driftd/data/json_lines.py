"""JSON lines as batches of columns, block by block; what is wrong is told with its line."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.json as pajson

from driftd.errors import MistakeError

LINE_BYTES_MAX = 64 * 1024 * 1024
_COLUMN = re.compile(r"Column\(/([^/)]*)")
_decode = msgspec.json.Decoder().decode


class JsonLines:
    """Reads one stream of JSON objects, one a line; blank lines count for nothing but their number.

    A batch holds the columns that its own lines name; the type of a column may only widen from
    batch to batch: all null, whole number, number. ``text``: columns that stay text although all
    their values look like moments.
    """

    def __init__(self, name: str, text: frozenset[str] = frozenset()) -> None:
        self._name = name
        self._text = text
        self._line = 1
        self._types: dict[str, tuple[pa.DataType, int]] = {}

    def batches(self, stream: BinaryIO, block_bytes: int) -> Iterator[pa.Table]:
        """The rows of each block; raises ``MistakeError`` that names the line."""
        for block in self._blocks(stream, block_bytes):
            if block.strip():
                yield self._widened(self._parsed(block))
            self._line += block.count(b"\n")

    def _blocks(self, stream: BinaryIO, block_bytes: int) -> Iterator[bytes]:
        rest = b""
        while chunk := stream.read(block_bytes):
            cut = chunk.rfind(b"\n") + 1
            if cut:
                yield rest + chunk[:cut]
                rest = chunk[cut:]
            else:
                rest += chunk
            if len(rest) > LINE_BYTES_MAX:
                raise MistakeError(
                    f"{self._name}: line {self._line} has no end within {LINE_BYTES_MAX >> 20} MiB; "
                    "write one object a line, e.g. with: jq -c '.[]' FILE"
                )
        yield rest

    def _parsed(self, block: bytes) -> pa.Table:
        read = pajson.ReadOptions(block_size=len(block) + 1, use_threads=False)
        try:
            table = pajson.read_json(pa.BufferReader(block), read_options=read)
            moments = [
                field.name
                for field in table.schema
                if pa.types.is_timestamp(field.type) and self._is_text(field.name)
            ]
            if moments:
                words = pa.schema([pa.field(name, pa.string()) for name in moments])
                parse = pajson.ParseOptions(explicit_schema=words)
                table = pajson.read_json(
                    pa.BufferReader(block), read_options=read, parse_options=parse
                )
        except pa.ArrowInvalid as error:
            raise MistakeError(self._explained(block, str(error))) from error
        return table

    def _is_text(self, name: str) -> bool:
        known = self._types.get(name)
        return name in self._text or (known is not None and pa.types.is_string(known[0]))

    def _widened(self, table: pa.Table) -> pa.Table:
        """The table in the types known so far; refuses a column that changes its kind."""
        for place, field in enumerate(table.schema):
            known, since = self._types.get(field.name, (field.type, self._line))
            wide = _wider(known, field.type)
            if wide is None:
                raise MistakeError(
                    f"{self._name}: column {field.name} is of type {known} from line {since} on and "
                    f"{field.type} in the block from line {self._line} on; " + _way_out(field.name)
                )
            self._types[field.name] = (wide, since)
            if not wide.equals(field.type) and not pa.types.is_struct(wide):
                table = table.set_column(place, field.name, table[field.name].cast(wide))
        return table

    def _explained(self, block: bytes, error: str) -> str:
        """The first line that is to blame, found by reading them one by one."""
        named = _COLUMN.search(error)
        name = named.group(1) if named else ""
        first: tuple[str, int] | None = None
        for number, line in enumerate(block.splitlines(), self._line):
            if not line.strip():
                continue
            try:
                value = _decode(line)
            except msgspec.DecodeError as broken:
                return f"{self._name}: line {number} is no JSON: {broken}; mend or remove the line"
            if not isinstance(value, dict):
                return (
                    f"{self._name}: line {number} is no JSON object; write one object a line, "
                    "e.g. with: jq -c '.[]' FILE"
                )
            kind = _kind(value.get(name))
            if name and kind:
                if first is not None and kind != first[0]:
                    return (
                        f"{self._name}: column {name} is a {first[0]} on line {first[1]} and a "
                        f"{kind} on line {number}; " + _way_out(name)
                    )
                first = first or (kind, number)
        return f"{self._name}, from line {self._line} on: {error}"


def _wider(a: pa.DataType, b: pa.DataType) -> pa.DataType | None:
    """The type that holds both, or None."""
    if a.equals(b) or pa.types.is_null(b):
        return a
    if pa.types.is_null(a):
        return b
    numbers = (pa.types.is_integer, pa.types.is_floating)
    if all(any(is_one(kind) for is_one in numbers) for kind in (a, b)):
        return pa.float64()
    if pa.types.is_struct(a) and pa.types.is_struct(b):
        return _wider_struct(a, b)
    if pa.types.is_list(a) and pa.types.is_list(b):
        inner = _wider(a.value_type, b.value_type)
        return None if inner is None else pa.list_(inner)
    return None


def _wider_struct(a: Iterable[pa.Field], b: Iterable[pa.Field]) -> pa.DataType | None:
    kinds = {field.name: field.type for field in a}
    for field in b:
        wide = _wider(kinds.get(field.name, field.type), field.type)
        if wide is None:
            return None
        kinds[field.name] = wide
    return pa.struct(list(kinds.items()))


def _kind(value: Any) -> str:
    if value is None:
        return ""
    kinds = {str: "text", bool: "true or false", dict: "object", list: "list"}
    return kinds.get(type(value), "number")


def _way_out(name: str) -> str:
    return (
        f"write {name} in one type, e.g. jq -c '.{name} |= tostring' FILE for names, or null where "
        "it is missing"
    )
