"""A cursor that sends many rows one after the other, so that the server may end an idle session.

psycopg sends many rows as a pipeline, and a *flush* after its end. The server has started the timer of
``idle_in_transaction_session_timeout`` by then, takes the flush for the next command and stops it: a
worker that is stopped behind such rows would hold its locks for as long as it is stopped.
"""

from collections.abc import Iterable
from typing import Any

from psycopg import Cursor


class PlainCursor(Cursor[Any]):
    """No pipelines. ``rowcount`` after many rows is the sum of all."""

    _hit: int | None = None

    @property
    def rowcount(self) -> int:
        """Rows that the last statement, or all rows of it together, hit; -1 for unknown."""
        return super().rowcount if self._hit is None else self._hit

    def execute(self, *given: Any, **more: Any) -> "PlainCursor":
        """One statement."""
        self._hit = None
        super().execute(*given, **more)
        return self

    def executemany(
        self, query: Any, params_seq: Iterable[Any], *, returning: bool = False
    ) -> None:
        """The same statement for each row, in their order. ``returning`` is not known here."""
        if returning:
            raise NotImplementedError("rows that come back from many are not asked for")
        hit = 0
        for params in params_seq:
            self.execute(query, params)
            hit += max(0, super().rowcount)
        self._hit = hit
