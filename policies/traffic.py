"""How much a model is asked, where a person says so; without it only times are known."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """``label_delay_s``: how late a label comes as a rule; None = as late as the policy waits.
    ``sample``: the share of predictions that is kept to be joined with labels (a setting)."""

    events_per_day: float
    label_delay_s: float | None = None
    sample: float = 1.0
