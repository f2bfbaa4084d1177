"""The kinds of columns that the tables are made of."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Integer,
    LargeBinary,
    String,
    Text,
    TypeDecorator,
    false,
)
from sqlalchemy.engine import Dialect


class JsonBytes(TypeDecorator[bytes]):
    """JSON bytes in Python, text in SQL, so that a person can read and query it."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> str | None:
        return None if value is None else value.decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> bytes | None:
        return None if value is None else value.encode()


class Words(TypeDecorator[str]):
    """Text as a producer may have sent it: PostgreSQL takes no NUL and no half of a surrogate pair,
    and one such version name must not stop its partition for ever."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None or (value.isprintable() and value.isascii()):
            return value
        return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


class Prose(Words):
    """The same, for what is long."""

    impl = Text
    cache_ok = True


# SQLite increments only a column of exactly this type.
_SERIAL = BigInteger().with_variant(Integer, "sqlite")


def words(name: str, *, key: bool = False, default: str = "") -> Column[Any]:
    """Text, empty where nothing was said."""
    return Column(name, Words, primary_key=key, nullable=False, server_default=default)


def json_bytes(name: str, default: str = "{}") -> Column[Any]:
    """JSON, as bytes in Python."""
    return Column(name, JsonBytes, nullable=False, server_default=default)


def whole(name: str, *, key: bool = False) -> Column[Any]:
    """A whole number of 64 bits."""
    return Column(name, BigInteger, primary_key=key, nullable=False, server_default="0")


def real(name: str, *, key: bool = False) -> Column[Any]:
    """A number; times are seconds."""
    return Column(name, Double, primary_key=key, nullable=False, server_default="0")


def flagged(name: str) -> Column[Any]:
    """Yes or no; no where nothing was said."""
    return Column(name, Boolean, nullable=False, server_default=false())


def serial(name: str) -> Column[Any]:
    """A number that the database gives, never twice."""
    return Column(name, _SERIAL, primary_key=True, autoincrement=True)


def blob(name: str = "blob") -> Column[Any]:
    """Bytes that only driftd reads."""
    return Column(name, LargeBinary, nullable=False)
