"""What a worker shows at /metrics: its own counters, itself, and the models that it owns."""

from driftd.clock import steady_now
from driftd.console.collector import StoreCollector
from driftd.console.worker_collector import WorkerCollector, WorkerView
from driftd.daemon import Daemon
from driftd.errors import UnreachableError
from policies.specs import ModelSpec


def show_worker(daemon: Daemon) -> None:
    """Register what is read at a scrape, and let the store tell of its transactions."""
    registry, metrics = daemon.metrics.registry, daemon.metrics
    registry.register(WorkerCollector(lambda: _view(daemon)))

    def specs() -> dict[str, ModelSpec]:
        # A store that says nothing would hold the scrape until Prometheus gives up, and a worker
        # that cannot be scraped looks dead; the heartbeat knows.
        if daemon.store_trouble:
            raise UnreachableError(daemon.store_trouble)
        return daemon.book.specs()

    registry.register(StoreCollector(daemon.store, specs, daemon.ownership.owns, metrics))
    daemon.store.database.watch = metrics.transaction


def _view(daemon: Daemon) -> WorkerView:
    stalled = {}
    if daemon.started and daemon.control is not None:
        stalled["control"] = steady_now() - daemon.control.last_step
    if daemon.started and daemon.ingest is not None:
        stalled["ingest"] = daemon.ingest.stalled_s
    return WorkerView(
        ready=not daemon.not_ready(),
        refused=len(daemon.policies.refused),
        stalled=stalled,
        up={"kafka": not daemon.link.trouble, "store": not daemon.store_trouble},
    )
