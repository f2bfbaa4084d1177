"""The store: SQL by URL, one small shelf for each of its users."""

from collections.abc import Callable

from driftd.clock import wall_now
from driftd.errors import MistakeError
from driftd.store.boxes import Inbox, Outbox
from driftd.store.crowding import Crowding
from driftd.store.database import Database
from driftd.store.migrate import require_schema
from driftd.store.policies import Policies
from driftd.store.positions import Positions
from driftd.store.profiles import Profiles
from driftd.store.pruning import Pruning
from driftd.store.scrapes import Scrapes
from driftd.store.steps import Steps
from driftd.store.turns import Turns
from driftd.store.views import Flags, Views
from driftd.store.workers import Workers


class Store:
    """All methods of all shelves block; on an event loop call them in a thread."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.ingest = Positions(database)
        self.control = Steps(database)
        self.inbox = Inbox(database)
        self.outbox = Outbox(database)
        self.policies = Policies(database)
        self.profiles = Profiles(database)
        self.views = Views(database)
        self.flags = Flags(database)
        self.workers = Workers(database)
        self.scrapes = Scrapes(database)
        self.turns = Turns(database)
        self.pruning = Pruning(database)
        self.crowding = Crowding(database)

    def close(self) -> None:
        """Give all connections back."""
        self.database.close()


def open_store(url: str, now: Callable[[], float] = wall_now) -> Store:
    """Open a store whose schema is in place; ``MistakeError`` says how to put it there. Raises
    ``UnreachableError`` for one that is away."""
    database = Database(url, now)
    try:
        _require_file(database)
        with database.reading() as connection:
            require_schema(connection)
    except BaseException:
        database.close()
        raise
    return Store(database)


def _require_file(database: Database) -> None:
    if database.is_missing():
        file = database.engine.url.database
        raise MistakeError(f"there is no store at {file}; run: driftd migrate")
