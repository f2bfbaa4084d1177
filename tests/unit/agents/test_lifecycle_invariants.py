"""Whatever happens in whatever order: what never happens to a model."""

from collections import Counter
from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.commands import (
    Evaluate,
    LoadProfile,
    MarkChallenger,
    MoveAlias,
    Routing,
    SetTraffic,
    TagVersion,
    Train,
)
from agents.events import CommandDone
from agents.lifecycle import desired_routing
from agents.stages.state import Stage
from policies.specs import ModelSpec, PromoteSpec
from tests.support.story import BRIER, CANARY, DAY, ERROR_RATE, RETRAIN, Story, policy

Deed = Callable[[Story], None]
KINDS = (Train, Evaluate, MarkChallenger, SetTraffic, MoveAlias, TagVersion, LoadProfile)
VERBS = (
    "retrain", "canary", "promote", "approve", "refuse", "rollback", "pause", "resume",
)  # fmt: skip


def days(count: int, gain: float | None) -> Deed:
    return lambda story: story.days(count, gain)


def ask(verb: str, version: str) -> Deed:
    return lambda story: story.ask(verb, version=version)


def incident(change: str, kind: str, number: int) -> Deed:
    def deed(story: Story) -> None:
        tell = story.open if change == "open" else story.close
        tell(kind, name=f"{kind}-{number}", onset=story.at - number * DAY)  # type: ignore[arg-type]

    return deed


def world(how: str, kind: type) -> Deed:
    def deed(story: Story) -> None:
        for name in ("refuses", "fails", "slow"):
            getattr(story.world, name).discard(kind)
        if how != "well":
            getattr(story.world, how).add(kind)
        story.execute()

    return deed


def verdict(word: str) -> Deed:
    def deed(story: Story) -> None:
        story.world.verdict = word

    return deed


def repeat(back: int) -> Deed:
    """The end of an old command is told once more."""

    def deed(story: Story) -> None:
        ends: list[CommandDone] = list(story.world.done.values())
        if ends:
            story.tell(ends[-1 - back % len(ends)])

    return deed


def foreign(version: str) -> Deed:
    def deed(story: Story) -> None:
        story.world.aliases["champion"] = version
        story.observe()

    return deed


OWN_DEEDS = st.one_of(
    st.builds(days, st.integers(1, 9), st.sampled_from([0.1, 0.1, 0.01, -0.2, None])),
    st.builds(days, st.integers(9, 20), st.sampled_from([0.1, 0.01])),
    st.builds(ask, st.sampled_from(VERBS), st.sampled_from(["1", "3", "7", "8"])),
    st.builds(
        incident,
        st.sampled_from(["open", "open", "close"]),
        st.sampled_from(["quality", "quality", "data_fault", "input_drift"]),
        st.integers(1, 3),
    ),
    st.builds(world, st.sampled_from(["refuses", "fails", "slow", "well"]), st.sampled_from(KINDS)),
    st.builds(verdict, st.sampled_from(["pass", "pass", "fail", "not_evaluable"])),
    st.builds(repeat, st.integers(0, 20)),
    st.just(Story.observe),
)
DEEDS = st.one_of(OWN_DEEDS, OWN_DEEDS, st.builds(foreign, st.sampled_from(["1", "3", "7"])))
POLICIES = st.builds(
    policy,
    canary=st.sampled_from([CANARY, type(CANARY)(judge=(BRIER, ERROR_RATE))]),
    promote=st.builds(
        PromoteSpec,
        approval_required=st.booleans(),
        probation_s=st.just(3 * DAY),
        reverse_shadow=st.just(0.1),
    ),
    mode=st.sampled_from(["auto", "auto", "retrain", "alert"]),
)
# Where a story begins: at rest, in a canary, after a promotion.
BEGINNINGS: tuple[tuple[Deed, ...], ...] = (
    (),
    (days(1, None), incident("open", "quality", 1), days(1, 0.1)),
    (days(1, None), incident("open", "quality", 1), days(18, 0.1)),
    (days(1, None), ask("canary", "7"), days(18, 0.1)),
    (days(1, None), incident("open", "quality", 1), days(24, 0.1)),
)
OFTEN = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def sound(routing: Routing, barred: tuple[str, ...]) -> None:
    assert abs(sum(route.weight for route in routing.routes) - 1.0) < 1e-12
    assert [route.variant for route in routing.routes].count("champion") == 1
    assert len({route.version for route in routing.routes}) == len(routing.routes)
    answering = {route.version for route in routing.routes}
    answering |= {shadow.version for shadow in routing.shadows}
    assert answering <= set(routing.loaded)
    assert not answering & set(barred)


def check(story: Story) -> None:
    state = story.state
    routing = desired_routing(state, story.spec)
    if routing is not None:
        sound(routing, state.barred)
        assert routing.epoch == state.epoch
    assert state.champion not in state.barred
    sent = [command.routing for command in story.of(SetTraffic)]
    for one in sent:
        sound(one, one.barred)
    epochs = [one.epoch for one in sent]
    assert epochs == sorted(set(epochs)), "epochs grow"
    names = [command.op_id for command in story.commands]
    assert len(names) == len(set(names)), "one name, one effect"


def check_causes(story: Story) -> None:
    gates = Counter(
        one.incident_id for one in story.of(Train) if one.phase == "gate" and one.incident_id
    )
    assert all(n <= RETRAIN.attempts for n in gates.values()), "attempts"
    promoted = Counter(
        one.incident_id for one in story.decisions if one.what == "promoted" and one.incident_id
    )
    assert all(n == 1 for n in promoted.values()), "one promotion an incident"


@OFTEN
@given(
    spec=POLICIES,
    beginning=st.sampled_from(BEGINNINGS),
    deeds=st.lists(DEEDS, min_size=5, max_size=30),
)
def test_traffic_is_whole_and_effects_are_named_once(
    spec: ModelSpec, beginning: tuple[Deed, ...], deeds: list[Deed]
) -> None:
    story = Story(spec=spec)
    story.tick()
    for deed in (*beginning, *deeds):
        deed(story)
        check(story)
    check_causes(story)


@OFTEN
@given(
    spec=POLICIES,
    beginning=st.sampled_from(BEGINNINGS),
    deeds=st.lists(OWN_DEEDS, min_size=5, max_size=30),
)
def test_without_foreign_hands_the_aliases_follow_the_journal(
    spec: ModelSpec, beginning: tuple[Deed, ...], deeds: list[Deed]
) -> None:
    story = Story(spec=spec)
    story.tick()
    for deed in (*beginning, *deeds):
        deed(story)
        moving = {Stage.PROMOTING, Stage.ROLLING_BACK, Stage.HELD}
        if story.state.champion and story.stage() not in moving and not story.state.paused:
            assert story.world.aliases["champion"] == story.state.champion
            assert story.world.aliases.get("previous", "") == story.state.previous
    check_causes(story)


@OFTEN
@given(
    spec=POLICIES,
    beginning=st.sampled_from(BEGINNINGS),
    deeds=st.lists(DEEDS, min_size=5, max_size=30),
)
def test_a_world_that_is_well_again_leaves_no_model_stuck(
    spec: ModelSpec, beginning: tuple[Deed, ...], deeds: list[Deed]
) -> None:
    story = Story(spec=spec)
    story.tick()
    for deed in (*beginning, *deeds):
        deed(story)

    for kind in KINDS:
        world("well", kind)(story)
    if story.state.paused:
        story.ask("resume")
    for open_incident in story.state.incidents:
        story.close(open_incident.kind, name=open_incident.incident_id, onset=open_incident.onset)
    story.days(45, 0.01)

    assert story.stage() in {Stage.WATCHING, Stage.HELD}
    assert story.outbox == []
