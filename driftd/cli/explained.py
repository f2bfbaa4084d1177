"""How `driftd check --explain` shows an explanation in a terminal."""

from math import isfinite
from typing import TYPE_CHECKING

from policies.units import duration_text, number_text

if TYPE_CHECKING:
    from rich.console import Console

    from policies.chances import Budget, Chance
    from policies.explain import Explanation
    from policies.lengths import Length


def print_explanation(explanation: "Explanation") -> None:
    """Print tables: rules, the budget, the canary, cautions and every default."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=False)
    rules = Table(
        "rule", "severity", "false alarms in 30 days", title="Rules", title_justify="left"
    )
    for rule in explanation.rules:
        said = "under the budget" if rule.chance is None else _chance(rule.chance)
        rules.add_row(Text(rule.name), rule.severity, Text(said))
    console.print(rules)
    if explanation.budget is not None:
        _print_budget(console, explanation.budget)
    if explanation.length is not None:
        _print_length(console, explanation.length)
    for caution in explanation.cautions:
        console.print(Text(f"caution: {caution}"))
    defaults = Table("key", "default in force", "what follows", title="Defaults")
    for default in explanation.defaults:
        defaults.add_row(Text(default.path), Text(default.value), Text(default.consequence))
    console.print(defaults)


def _chance(chance: "Chance") -> str:
    if chance.per_month is None:
        return f"outside; unknown: {chance.given}"
    if chance.never:
        return f"outside; never decides: {chance.given}"
    often = number_text(round(chance.per_month, 2)) if chance.per_month >= 0.005 else "under 0.01"
    return f"outside; {often} by chance ({chance.given})"


def _print_budget(console: "Console", budget: "Budget") -> None:
    delay = "no number of panes: it is within the tolerance, or they hold too few events"
    if isfinite(budget.delay_s):
        delay = f"{budget.delay_panes} panes, {duration_text(budget.delay_s)}"
    console.print(
        f"Budget: half for {budget.streams} streams (alarm at e^{budget.log_threshold:.1f}), half "
        f"for the whole model (e^{budget.log_threshold_whole:.1f}).\n"
        f"A KS of 0.2 is found in {delay} ({budget.given}; a stream that jumps needs longer).",
        soft_wrap=True,
    )


def _print_length(console: "Console", length: "Length") -> None:
    console.print(f"Canary: {duration_text(length.steps_s)} at least (its steps).", soft_wrap=True)
    if length.expected_s is None:
        console.print("Its expected length needs --events-per-day and --label-delay.")
        return
    for judge in length.judges:
        days = f"{judge.seconds / 86_400:.1f} days" if isfinite(judge.seconds) else "never"
        console.print(f"  {judge.name}: {days} ({judge.given})", soft_wrap=True, markup=False)
    if isfinite(length.expected_s):
        console.print(f"Expected length: {length.expected_s / 86_400:.1f} days.")
