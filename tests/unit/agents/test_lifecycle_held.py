"""A held model is told once what is wrong, however often the same is seen."""

from agents.events import RegistryObserved
from agents.lifecycle import Lifecycle, LifecycleState
from agents.stages.state import Stage
from driftd.yamlfile import parse_yaml
from policies.checker import check
from tests.support.control import POLICY


def test_the_same_foreign_champion_is_told_once_while_a_model_is_held() -> None:
    spec, _ = check(parse_yaml(POLICY).values)
    assert spec is not None
    state = LifecycleState(stage=Stage.HELD, champion="1", previous="0", registry="1", held="hm")
    seen = RegistryObserved(champion="9", challenger=None, previous=None)
    told = []

    for _ in range(5):
        step = Lifecycle(spec).handle(state, seen, now=1.0)
        state = step.state
        told += [decided.what for decided in step.decisions]

    assert told == ["tell"]
    assert "to 9" in state.held
