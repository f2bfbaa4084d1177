"""The picture of the lifecycle, drawn from the table of roads and from nothing else."""

from collections import defaultdict
from collections.abc import Mapping

from agents.stages.contract import Road, Trigger
from agents.stages.roads import ROADS
from agents.stages.state import Stage

# What a person calls the events of the table.
WORDS: Mapping[str, str] = {
    "ArmsObserved": "answers",
    "IncidentChanged": "incident",
    "PairsJoined": "pairs",
    "RegistryObserved": "foreign hand",
    "Ticked": "time",
}


def mermaid(roads: Mapping[tuple[Stage, Trigger], Road] = ROADS) -> str:
    """A Mermaid state diagram; roads that leave a stage where it is are left out."""
    triggers: dict[tuple[Stage, Stage], set[str]] = defaultdict(set)
    for (stage, trigger), road in roads.items():
        for to in road.to - {stage}:
            triggers[stage, to].add(_word(trigger))
    order = list(Stage)
    pairs = sorted(triggers, key=lambda pair: (order.index(pair[0]), order.index(pair[1])))
    names = [f'    state "{stage}" as {_name(stage)}' for stage in order if " " in stage]
    arrows = [
        f"    {_name(a)} --> {_name(b)}: {', '.join(sorted(triggers[a, b]))}" for a, b in pairs
    ]
    first = f"    [*] --> {_name(Stage.WATCHING)}"
    return "\n".join(["stateDiagram-v2", *names, first, *arrows]) + "\n"


def _word(trigger: Trigger) -> str:
    if isinstance(trigger, str):
        return trigger if trigger.endswith(" ended") else f"ask {trigger}"
    return WORDS.get(trigger.__name__, trigger.__name__)


def _name(stage: Stage) -> str:
    return stage.replace(" ", "_")
