"""The published JSON Schema of an event, made from the struct that decodes it.

python -m driftd.ingest.schema > docs/event.schema.json
"""

import sys
from typing import Any

import msgspec

from driftd.ingest.events import TS_MILLISECONDS, Event

_DESCRIPTIONS = {
    "v": "Version of this format.",
    "id": "Joins a label to its prediction; also the partition key.",
    "model": "The model that answered, as its policy names it.",
    "source": "The source of a feature event that belongs to no single prediction.",
    "version": "The model version that answered.",
    "variant": "The role in which it answered.",
    "ts": "Event time: seconds since 1970 (never milliseconds) or RFC 3339 with an offset.",
    "features": "The inputs by name; null, NaN and Infinity are missing values.",
    "vectors": "Embeddings by name, each a list of finite numbers, always of one length.",
    "score": "The probability of the positive class, or the regression's answer.",
    "prediction": "What was answered.",
    "label": "What turned out to be true.",
    "latency_ms": "How long the answer took.",
    "error": "Anything but null says that the request failed.",
    "subject": "The unit of random assignment: who or what sticks to one version.",
    "segment": "Slices of interest.",
    "shadow_of": "The id of the live prediction that this one shadows.",
    "tick": "Instead of an event: event time has reached this in this partition (replays).",
}


def event_schema() -> dict[str, Any]:
    """The schema as plain values (JSON Schema 2020-12)."""
    (schema,), components = msgspec.json.schema_components([Event], ref_template="{name}")
    body = components[schema["$ref"]]
    properties = {
        name: {**body["properties"][name], "description": _DESCRIPTIONS[name]}
        for name in _DESCRIPTIONS
    }
    seconds = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": TS_MILLISECONDS}
    properties["ts"] = {
        "description": _DESCRIPTIONS["ts"],
        "anyOf": [seconds, {"type": "string", "format": "date-time"}],
    }
    properties["tick"] = {**seconds, "description": _DESCRIPTIONS["tick"]}
    carriers = ("features", "vectors", "score", "prediction", "label", "error")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "driftd event",
        "description": "One prediction, label, feature event or tick; one a Kafka record.",
        "type": "object",
        "properties": properties,
        "anyOf": [
            {"required": ["tick"]},
            {
                "required": ["ts"],
                "allOf": [
                    {"anyOf": [{"required": ["model"]}, {"required": ["source"]}]},
                    {"anyOf": [{"required": [name]} for name in carriers]},
                ],
            },
        ],
    }


def event_schema_text() -> str:
    """The schema as the file in ``docs/`` holds it."""
    return msgspec.json.format(msgspec.json.encode(event_schema()), indent=2).decode() + "\n"


if __name__ == "__main__":
    sys.stdout.write(event_schema_text())
