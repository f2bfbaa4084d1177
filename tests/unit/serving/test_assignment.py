"""Who answers a request: sticky, nested, in the asked shares, and never a barred version."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.commands import Route, Routing, Shadow
from driftd.serving.assignment import Plan, draw, is_complete, plan_for, wanted

UNITS = [f"user-{i}" for i in range(4000)]
VERSIONS = st.sampled_from(["1", "2", "3", "4"])


def routing(
    *routes: tuple[str, str, float],
    shadows: tuple[tuple[str, float], ...] = (),
    loaded: tuple[str, ...] = (),
    barred: tuple[str, ...] = (),
) -> Routing:
    return Routing(
        model="churn",
        epoch=1,
        routes=tuple(Route(version=v, variant=a, weight=w) for v, a, w in routes),
        shadows=tuple(Shadow(version=v, share=s) for v, s in shadows),
        loaded=loaded,
        barred=barred,
    )


def planned(asked: Routing, *loaded: str, current: Plan | None = None) -> Plan:
    plan = plan_for(asked, frozenset(loaded), current)
    assert plan is not None
    return plan


def weights(plan: Plan) -> dict[str, float]:
    return {route.version: route.weight for route in plan.routes}


def canary(weight: float) -> Plan:
    asked = routing(("1", "champion", 1 - weight), ("2", "challenger", weight))
    return planned(asked, "1", "2")


@pytest.mark.parametrize("weight", [0.01, 0.1, 0.5, 0.9])
def test_a_challenger_gets_its_share(weight: float) -> None:
    on_it = sum(canary(weight).route(unit).version == "2" for unit in UNITS)

    assert on_it / len(UNITS) == pytest.approx(weight, abs=0.02)


def test_a_unit_always_meets_the_same_version_and_stays_as_the_weight_grows() -> None:
    steps = [canary(weight) for weight in (0.05, 0.1, 0.5, 0.9)]
    on_it = [{unit for unit in UNITS if plan.route(unit).version == "2"} for plan in steps]

    assert all(fewer < more for fewer, more in pairwise(on_it))
    assert {unit for unit in UNITS if canary(0.1).route(unit).version == "2"} == on_it[1]


def test_another_model_draws_other_users() -> None:
    assert draw("churn", "user-1") != draw("fraud", "user-1")


def test_with_two_shadows_of_everything_every_request_is_a_pair() -> None:
    asked = routing(
        ("1", "champion", 0.7), ("2", "challenger", 0.3), shadows=(("1", 1.0), ("2", 1.0))
    )
    plan = planned(asked, "1", "2")

    for unit in UNITS:
        live = plan.route(unit).version
        assert plan.shadows_of(unit, live) == ({"1": "2", "2": "1"}[live],)


def test_a_share_of_shadows_does_not_depend_on_the_arm() -> None:
    asked = routing(
        ("1", "champion", 0.5), ("2", "challenger", 0.5), shadows=(("1", 0.2), ("2", 0.2))
    )
    plan = planned(asked, "1", "2")
    paired: dict[str, list[bool]] = {"1": [], "2": []}
    for unit in UNITS:
        live = plan.route(unit).version
        paired[live].append(bool(plan.shadows_of(unit, live)))

    for arm in paired.values():
        assert sum(arm) / len(arm) == pytest.approx(0.2, abs=0.03)


def test_traffic_of_a_version_not_loaded_stays_with_what_is_served() -> None:
    now = planned(routing(("1", "champion", 1.0)), "1")
    asked = routing(("1", "champion", 0.9), ("2", "challenger", 0.1))

    assert weights(planned(asked, "1", current=now)) == {"1": 1.0}
    assert weights(planned(asked, "1", "2", current=now)) == pytest.approx({"1": 0.9, "2": 0.1})


def test_a_new_champion_that_is_not_loaded_leaves_the_old_one_in_place() -> None:
    now = planned(routing(("1", "champion", 1.0)), "1")

    plan = planned(routing(("3", "champion", 1.0)), "1", current=now)

    assert weights(plan) == {"1": 1.0}
    assert plan.fallback.version == "1"


def test_a_roll_back_needs_nothing_new() -> None:
    now = canary(0.5)

    plan = planned(routing(("1", "champion", 1.0), barred=("2",)), "1", "2", current=now)

    assert weights(plan) == {"1": 1.0}


def test_a_challenger_alone_is_never_given_the_champions_traffic() -> None:
    asked = routing(("1", "champion", 0.9), ("2", "challenger", 0.1))

    assert plan_for(asked, frozenset({"2"}), None) is None


def test_the_way_back_takes_over_from_a_barred_route() -> None:
    asked = routing(("2", "champion", 1.0), loaded=("1",), barred=("2",))

    assert weights(planned(asked, "1", "2", current=canary(0.5))) == {"1": 1.0}


def test_when_only_barred_versions_are_loaded_nobody_answers() -> None:
    now = planned(routing(("2", "champion", 1.0)), "2")

    assert plan_for(routing(("1", "champion", 1.0), barred=("2",)), frozenset({"2"}), now) is None


def test_wanted_and_complete() -> None:
    asked = routing(("1", "champion", 1.0), shadows=(("2", 0.1),), loaded=("3",), barred=("4",))

    assert wanted(asked) == {"1", "2", "3"}
    assert not is_complete(asked, {"1"})
    # What is only kept ready does not hold the traffic up.
    assert is_complete(asked, {"1", "2"})


@given(
    split=st.lists(VERSIONS, min_size=1, max_size=3, unique=True),
    loaded=st.sets(VERSIONS),
    barred=st.sets(VERSIONS),
    before=VERSIONS,
)
def test_whatever_is_loaded_the_plan_uses_only_that_and_nothing_barred(
    split: list[str], loaded: set[str], barred: set[str], before: str
) -> None:
    share = 1 / len(split)
    routes = [
        (version, "champion" if at == 0 else "challenger", share)
        for at, version in enumerate(split)
    ]
    now = plan_for(routing((before, "champion", 1.0)), {before}, None)

    plan = plan_for(routing(*routes, barred=tuple(barred)), loaded, now)

    if plan is not None:
        assert plan.versions <= loaded - barred
        assert sum(weights(plan).values()) == pytest.approx(1.0)
