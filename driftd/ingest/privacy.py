"""Removes or hashes private fields before an event is stored, told or dead-lettered."""

import hmac

import msgspec

from driftd.errors import MistakeError
from driftd.ingest.events import Event, Value
from policies.specs import PrivacySpec

_DIGEST_CHARACTERS = 32
"""128 bits of an HMAC-SHA256: ids stay distinct over any stream we could read."""
_FIELDS_DROPPED = frozenset({"error", "label", "prediction", "segment", "shadow_of", "subject"})
_FIELDS_HASHED = frozenset({"id", "label", "prediction", "shadow_of", "subject"})


class Privacy:
    """One model's ``privacy:``. A name means the feature, vector or segment of that name and, where
    there is one, the event's own field.

    ``id`` may be hashed, never dropped (labels join by it); with it ``shadow_of``, which holds an
    id, is hashed alike. The same value and key always give the same hash, so that joins and
    stickiness survive; without the key nobody can try out values.
    """

    def __init__(self, spec: PrivacySpec, key: bytes | None) -> None:
        """Raise ``MistakeError`` when something is to be hashed and there is no key."""
        if spec.hash and not key:
            names = ", ".join(sorted(spec.hash))
            raise MistakeError(
                f"privacy.hash names {names}, but the settings' `hash_key_env` gives no key"
            )
        self._key = key or b""
        self._drop = spec.drop
        self._hash = spec.hash | ({"shadow_of"} if "id" in spec.hash else frozenset())
        self._fields_dropped = spec.drop & _FIELDS_DROPPED
        self._fields_hashed = self._hash & _FIELDS_HASHED

    def apply(self, event: Event) -> None:
        """Clean ``event`` in place."""
        for name in self._fields_dropped:
            setattr(event, name, None)
        for name in self._fields_hashed:
            setattr(event, name, self._hashed(getattr(event, name)))
        if event.features:
            self._clean(event.features)
        if event.segment:
            self._clean(event.segment)
        if event.vectors:
            for name in self._drop.intersection(event.vectors):
                del event.vectors[name]

    def clean_bytes(self, event: Event) -> bytes:
        """The event after cleaning, as JSON: what a dead letter may show of it."""
        self.apply(event)
        return msgspec.json.encode(event)

    def _clean(self, values: dict[str, Value] | dict[str, str]) -> None:
        for name in self._drop.intersection(values):
            del values[name]
        for name in self._hash.intersection(values):
            hashed = self._hashed(values[name])
            if hashed is None:
                del values[name]
            else:
                values[name] = hashed

    def _hashed(self, value: Value) -> str | None:
        if value is None:
            return None
        digest = hmac.digest(self._key, str(value).encode(), "sha256")
        return digest.hex()[:_DIGEST_CHARACTERS]
