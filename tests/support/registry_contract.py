"""What every registry has to do, whatever it runs on: subclassed where one is started.

The module needs the fixtures ``registry`` and ``name``, a model of the test's own made by ``made``.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from agents.commands import MarkChallenger, MoveAlias, TagVersion
from driftd.cli import data
from driftd.clients.registry import Registry
from driftd.errors import RefusedError


class Crash(BaseException):
    """The process died here."""


class Crashing:
    """The client of a process that is killed right before its ``calls``-th call."""

    def __init__(self, client: Any, calls: int) -> None:
        self._client, self._left = client, calls

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if self._left == 0:
            raise Crash
        self._left -= 1
        function: Callable[..., Any] = getattr(self._client, method)
        return function


def made(client: Any, model: str) -> str:
    """A registered model with versions 1 to 4, version N tagged op_id ``opN``; its experiment's id."""
    experiment: str = client.create_experiment(model)
    client.create_registered_model(model)
    for number in range(1, 5):
        run = client.create_run(experiment).info.run_id
        client.create_model_version(
            model, f"runs:/{run}/model", run, tags={"driftd.op_id": f"op{number}"}
        )
    return experiment


def move(name: str, expect: str, to: str, previous: str) -> MoveAlias:
    """A move of the champion alias."""
    return MoveAlias(
        op_id="0123456789abcdef",
        model=name,
        registry=name,
        champion_alias="champion",
        previous_alias="previous",
        expect=expect,
        to=to,
        previous=previous,
        tags={to: {"driftd.state": "champion"}},
    )


class RegistryContract:
    """The suite."""

    def test_a_first_champion_has_no_previous(self, registry: Registry, name: str) -> None:
        assert registry.move_champion(move(name, "", "1", "")) == {"champion": "1", "previous": ""}
        assert registry.aliases(name) == {"champion": "1"}

    def test_a_promotion_keeps_the_way_back_and_tags(self, registry: Registry, name: str) -> None:
        registry.move_champion(move(name, "", "1", ""))
        done = registry.move_champion(move(name, "1", "2", "1"))
        assert done == {"champion": "2", "previous": "1"}
        assert registry.aliases(name) == {"champion": "2", "previous": "1"}
        assert registry.tags(name, "2")["driftd.state"] == "champion"

    def test_a_move_taken_again_changes_nothing(self, registry: Registry, name: str) -> None:
        registry.move_champion(move(name, "", "1", ""))
        first = registry.move_champion(move(name, "1", "2", "1"))
        assert registry.move_champion(move(name, "1", "2", "1")) == first

    def test_a_foreign_hand_stops_the_move_before_it_writes(
        self, registry: Registry, name: str
    ) -> None:
        registry._client.set_registered_model_alias(name, "champion", "4")
        with pytest.raises(
            RefusedError, match=r"names version 4; version 1 was expected.* version 2"
        ):
            registry.move_champion(move(name, "1", "2", "1"))
        assert registry.aliases(name) == {"champion": "4"}
        assert "driftd.state" not in registry.tags(name, "2")

    def test_an_alias_that_names_nothing_is_set_only_on_demand(
        self, registry: Registry, name: str
    ) -> None:
        command = move(name, "3", "2", "77")
        with pytest.raises(RefusedError, match="names no version; version 3 was expected"):
            registry.move_champion(command)
        assert registry.aliases(name) == {}
        # A way back that was deleted is no way back, and costs nothing of the move.
        done = registry.move_champion(msgspec.structs.replace(command, fills=True))
        assert done == {"champion": "2", "previous": ""}
        assert registry.missing(name, ["2", "77"]) == ("77",)

    def test_a_version_that_does_not_exist_moves_nothing(
        self, registry: Registry, name: str
    ) -> None:
        registry.move_champion(move(name, "", "1", ""))
        with pytest.raises(RefusedError, match="version=99"):
            registry.move_champion(move(name, "1", "99", "1"))
        assert registry.aliases(name) == {"champion": "1"}

    @pytest.mark.parametrize("calls", range(7))
    def test_a_crash_before_any_call_leaves_a_way_back_and_converges(
        self, registry: Registry, name: str, calls: int
    ) -> None:
        registry.move_champion(move(name, "", "1", ""))
        command, client = move(name, "1", "2", "1"), registry._client
        registry._client = Crashing(client, calls)
        try:
            registry.move_champion(command)
        except Crash:
            pass
        finally:
            registry._client = client
        left = registry.aliases(name)
        assert left["champion"] in ("1", "2")
        assert left["champion"] == "1" or left["previous"] == "1"
        assert registry.move_champion(command) == {"champion": "2", "previous": "1"}
        assert registry.aliases(name) == {"champion": "2", "previous": "1"}
        assert registry.tags(name, "2")["driftd.state"] == "champion"

    def test_a_version_is_found_by_the_op_id_of_its_training(
        self, registry: Registry, name: str
    ) -> None:
        assert registry.version_by_op_id(name, "op3") == "3"
        assert registry.version_by_op_id(name, "op'3") is None

    def test_of_two_versions_with_one_op_id_the_oldest_counts(
        self, registry: Registry, name: str
    ) -> None:
        registry.tag(
            TagVersion(
                op_id="a", model=name, registry=name, version="4", tags={"driftd.op_id": "op2"}
            )
        )
        assert registry.version_by_op_id(name, "op2") == "2"

    def test_a_challenger_is_marked_only_if_it_exists(self, registry: Registry, name: str) -> None:
        def mark(version: str) -> MarkChallenger:
            return MarkChallenger(
                op_id="a",
                model=name,
                registry=name,
                challenger_alias="challenger",
                version=version,
                tags={"driftd.gate": "external"},
            )

        assert registry.mark(mark("3")) == {"version": "3"}
        assert registry.aliases(name) == {"challenger": "3"}
        assert registry.tags(name, "3")["driftd.gate"] == "external"
        with pytest.raises(RefusedError, match="version=77"):
            registry.mark(mark("77"))

    def test_a_profile_is_logged_with_its_version_and_read_back(
        self, registry: Registry, name: str
    ) -> None:
        assert registry.profile_bytes(name, "1") is None
        registry.log_profile(name, "1", b"first")
        registry.log_profile(name, "1", b"second")
        assert registry.profile_bytes(name, "1") == b"second"
        assert registry.profile_bytes(name, "2") is None

    def test_the_command_logs_a_profile_where_the_daemon_looks_for_it(
        self, registry: Registry, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.tracking_uri)
        table, out = tmp_path / "t.csv", tmp_path / "p.bin"
        table.write_text("x\n1\n2\n", encoding="utf-8")
        app = typer.Typer()
        data.register(app)
        words = [
            "data",
            "profile",
            str(table),
            "--out",
            str(out),
            "--version",
            "2",
            "--log-to",
            name,
        ]
        assert CliRunner().invoke(app, words, catch_exceptions=False).exit_code == 0
        assert registry.profile_bytes(name, "2") == out.read_bytes()

    def test_a_version_without_a_run_cannot_carry_a_profile(
        self, registry: Registry, name: str
    ) -> None:
        registry._client.create_model_version(name, "s3://elsewhere/model")
        with pytest.raises(RefusedError, match="has no run"):
            registry.log_profile(name, "5", b"profile")
        assert registry.profile_bytes(name, "5") is None
