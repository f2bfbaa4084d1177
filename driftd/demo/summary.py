"""The demo's figures: counted from outside where that is possible, and said in one JSON object."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from confluent_kafka import Consumer, TopicPartition

from driftd.demo.flights import MODEL
from driftd.demo.frozen import Comparison
from driftd.demo.options import SOURCES, TOPICS
from driftd.store.store import Store

DECISIONS_MAX = 5_000
TIMEOUT_S = 20.0


def records_in_topics(bootstrap: str) -> int:
    """The sum of the source topics' end offsets, asked of the broker itself."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "driftd-demo-outside"})
    try:
        return sum(
            consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=TIMEOUT_S)[1]
            for topic in SOURCES
            for partition in range(TOPICS[topic])
        )
    finally:
        consumer.close()


def story(store: Store, health: Mapping[str, Any]) -> dict[str, Any]:
    """What the store's journal says: counts, incidents, trainings, promotions, roll-backs."""
    counts = store.views.counts(MODEL)
    rows = store.views.decisions(MODEL, DECISIONS_MAX)
    rolled_back = [row for row in rows if row.what == "roll back"]
    incidents = [msgspec.json.decode(row.body) for row in store.views.incidents(MODEL)]
    trained = [row for row in rows if row.what == "train"]
    return {
        "records_counted": sum(counts.records.get(topic, 0) for topic in SOURCES),
        "incidents": [
            {
                "kind": one["kind"],
                "onset": one["onset"],
                "streams": sorted({moved["stream"] for moved in one.get("streams", [])}),
                "cause": one.get("cause", ""),
            }
            for one in sorted(incidents, key=lambda one: one["onset"])
        ],
        "retrainings": len(trained),
        "promotions": sum(row.what == "promoted" for row in rows),
        "rollbacks": len(rolled_back),
        "harmed_ms": harmed_ms(rolled_back, health),
    }


def harmed_ms(rolled_back: Sequence[Any], health: Mapping[str, Any]) -> float | None:
    """Wall time from the commit of a roll-back to the barred version's last live answer: the worst
    of all roll-backs, 0 where no answer came after it, None where nothing was rolled back."""
    answered = health.get("last_live_answer", {})
    worst = None
    for row in rolled_back:
        evidence = msgspec.json.decode(row.evidence)
        version = str(evidence.get("candidate", ""))
        if version in answered:
            late = max(0.0, (answered[version] - row.wall_at) * 1_000)
            worst = late if worst is None else max(worst, late)
    return None if worst is None else round(worst, 1)


def figures(
    story_told: Mapping[str, Any],
    comparison: Comparison,
    *,
    in_topics: int,
    naive_alerts: int,
    failed_requests: int,
    champion_version: str,
    seconds: float,
) -> dict[str, Any]:
    """The object that ``--json`` prints."""
    return {
        "records_in_topics": in_topics,
        **story_told,
        "naive_alerts": naive_alerts,
        "failed_requests": failed_requests,
        "brier_frozen": round(comparison.brier_frozen, 5),
        "brier_managed": round(comparison.brier_managed, 5),
        "auc_frozen": round(comparison.auc_frozen, 4),
        "auc_managed": round(comparison.auc_managed, 4),
        "flights_compared": comparison.n,
        "champion_version": champion_version,
        "seconds": round(seconds, 1),
    }
