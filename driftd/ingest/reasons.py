"""Why a record was refused, skipped or repaired: closed lists, so that counters stay bounded."""

from enum import StrEnum


class Refusal(StrEnum):
    """The record cannot be attributed: it is counted and leaves a dead letter."""

    TOO_LARGE = "too_large"
    NULL = "null_value"
    BROKEN = "broken"
    NOT_AN_OBJECT = "not_an_object"
    UNKNOWN_FORMAT = "unknown_format_version"
    NO_TS = "no_ts"
    BAD_TS = "bad_ts"
    MILLISECONDS = "milliseconds"
    FAR_FUTURE = "far_future"
    NO_MODEL = "no_model_or_source"
    BAD_VARIANT = "bad_variant"
    EMPTY = "empty"


class Skip(StrEnum):
    """The record is sound but nobody asked for it: counted, no dead letter."""

    NO_POLICY = "no_policy"
    NO_SUBSCRIBER = "no_subscriber"
    NO_ID = "label_without_id"
    TOO_MANY_VERSIONS = "too_many_versions"


class Repair(StrEnum):
    """The event was kept; what could not be used was taken as missing, and counted."""

    SLOW_PATH = "slow_path"
    NOT_FINITE = "not_finite"
    LONG_STRING = "long_string"
    CHANGED_TYPE = "changed_type"
    TOO_MANY_FEATURES = "too_many_features"
    UNKNOWN_FIELD = "unknown_field"


EXPLANATIONS: dict[str, str] = {
    Refusal.TOO_LARGE: "the record is larger than `ingest.record_limit` of the settings",
    Refusal.NULL: "the record has no value",
    Refusal.BROKEN: "the value does not parse in the topic's format",
    Refusal.NOT_AN_OBJECT: "the value parses, but is no JSON object",
    Refusal.UNKNOWN_FORMAT: "`v` is not 1",
    Refusal.NO_TS: "`ts` is missing",
    Refusal.BAD_TS: "`ts` is neither seconds since 1970 nor an RFC 3339 time with an offset",
    Refusal.MILLISECONDS: "`ts` is in milliseconds or finer: divide it, driftd wants seconds",
    Refusal.FAR_FUTURE: "`ts` lies further ahead of the clock than `ingest.future` allows",
    Refusal.NO_MODEL: "neither `model` nor `source` is a usable name",
    Refusal.BAD_VARIANT: "`variant` is none of champion, challenger, shadow",
    Refusal.EMPTY: "none of features, vectors, score, prediction, label, error is there",
    Skip.NO_POLICY: "no policy is published for this model",
    Skip.NO_SUBSCRIBER: "no policy subscribes to this source",
    Skip.NO_ID: "a label names no prediction: `id` is missing",
    Skip.TOO_MANY_VERSIONS: "more versions of a model answered at once than are kept apart",
    Repair.SLOW_PATH: "the record needed the slow path",
    Repair.NOT_FINITE: "a NaN, an infinity or a number beyond float64 was taken as missing",
    Repair.LONG_STRING: "a string above the limit was taken as missing",
    Repair.CHANGED_TYPE: "a field of a wrong type was taken as missing",
    Repair.TOO_MANY_FEATURES: "features beyond the limit were left out",
    Repair.UNKNOWN_FIELD: "a field that driftd does not know was left out (seen in a sample)",
}
"""One sentence for people a reason; every reason has one."""
