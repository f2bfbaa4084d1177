"""driftd's own router: the full routing on the traffic topic, which our servers follow."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from agents.commands import Routing
from driftd.errors import RefusedError, UnreachableError


class DriftdTraffic:
    """Produces one record a routing, keyed by model, and waits for the broker's word."""

    def __init__(self, kafka: Mapping[str, Any], topic: str, deadline_s: float = 10.0) -> None:
        self._topic = topic
        self._deadline_s = deadline_s
        self._producer = Producer(
            {
                **kafka,
                "client.id": "driftd-router",
                "enable.idempotence": True,
                "acks": "all",
                # A roll-back is on its way: nothing waits to travel together.
                "linger.ms": 0,
                # Given up by librdkafka before we stop waiting, so that nothing arrives later.
                "message.timeout.ms": int(900 * deadline_s),
            }
        )

    def apply(self, routing: Routing) -> None:
        """One record. Raises UnreachableError or RefusedError."""
        self.republish((routing,))

    def republish(self, routings: Sequence[Routing]) -> None:
        """All of them at once. Raises UnreachableError or RefusedError for the first that failed."""
        errors: list[KafkaError] = []

        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                errors.append(error)

        try:
            for routing in routings:
                self._producer.produce(
                    self._topic,
                    msgspec.json.encode(routing),
                    key=routing.model,
                    on_delivery=delivered,
                )
            left = self._producer.flush(self._deadline_s)
        except (BufferError, KafkaException) as error:
            raise UnreachableError(f"the topic {self._topic} took no routing: {error}") from error
        if errors:
            raise _named(errors[0], self._topic)
        if left:
            raise UnreachableError(
                f"the topic {self._topic} did not take a routing in {self._deadline_s:g} s"
            )

    def close(self) -> None:
        """Nothing is left on its way: every call has waited for the broker's word."""
        self._producer.flush(0)


def _named(error: KafkaError, topic: str) -> Exception:
    refused = (
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.INVALID_MSG,
    )
    kind = RefusedError if error.code() in refused else UnreachableError
    return kind(f"the topic {topic} took no routing: {error.str()}")
