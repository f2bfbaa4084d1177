"""The shelf of conditions: one written line a thing, the most pressing want first."""

from policies.conditions.attempts import AttemptsUsed
from policies.conditions.budget import BudgetSpent, CeilingReached
from policies.conditions.contract import Bar, Want
from policies.conditions.cooldown import CoolingDown
from policies.conditions.data_fault import DataFaultOpen
from policies.conditions.incident import IncidentOpen
from policies.conditions.labels import LabelsTooFew
from policies.conditions.request import Requested
from policies.conditions.schedule import ScheduleDue

WANTS: tuple[Want, ...] = (
    Requested(),
    IncidentOpen(kind="quality"),
    ScheduleDue(),
    IncidentOpen(kind="input_drift"),
)
BARS: tuple[Bar, ...] = (
    AttemptsUsed(),
    BudgetSpent(),
    CeilingReached(),
    CoolingDown(),
    DataFaultOpen(),
    LabelsTooFew(),
)
