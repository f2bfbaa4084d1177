"""The HTTP API: reading is open, wishes need the token, and each wish counts once."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from driftd.console.api import Desk, make_api
from driftd.console.report import render_report
from driftd.errors import UnreachableError
from tests.support.control import DAY, MODEL, POLICY, START, Answer, Bench

TOKEN = {"Authorization": "Bearer secret"}


class Client:
    """Calls an application in this process, one event loop a call."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def get(self, path: str) -> httpx.Response:
        return self._call("GET", path)

    def post(self, path: str, *, json: Any, headers: dict[str, str]) -> httpx.Response:
        return self._call("POST", path, json=json, headers=headers)

    def _call(self, method: str, path: str, **given: Any) -> httpx.Response:
        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://driftd") as client:
                return await client.request(method, path, **given)

        return asyncio.run(call())


class Office:
    """A desk with a real store behind it."""

    def __init__(self, folder: Path, wrong: tuple[str, ...] = ()) -> None:
        self.bench = Bench(folder)
        self.rung: list[str] = []
        desk = Desk(
            store=self.bench.store,
            specs=self.bench.book.specs,
            publish=self.bench.book.publish_text,
            ring=self.rung.append,
            health=lambda: wrong,
            ready=lambda: wrong,
            scrape=lambda: b"driftd_records_total 1\n",
            token="secret",
        )
        self.client = Client(make_api(desk))

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get(f"/api/models/{MODEL}").json()
        return found


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path)
    office.bench.publish()
    yield office
    office.bench.store.close()


def ask(office: Office, verb: str, headers: dict[str, str] = TOKEN, **body: Any) -> Any:
    """Put a wish."""
    return office.client.post(
        f"/api/models/{MODEL}/{verb}", json={"by": "ada", **body}, headers=headers
    )


def test_wishes_need_the_token(office: Office) -> None:
    assert ask(office, "retrain", headers={}).status_code == 401
    assert ask(office, "retrain", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert ask(office, "retrain").status_code == 202
    assert office.rung == [MODEL]


def test_reading_needs_none(office: Office) -> None:
    for path in ("/health", "/ready", "/metrics", "/api/models", "/api/counts"):
        assert office.client.get(path).status_code == 200, path


def test_a_repeated_request_counts_once(office: Office) -> None:
    for _ in range(2):
        ask(office, "retrain", request_id="r-1")
    work = office.bench.store.control.work(MODEL, ["predictions"], 0.0, DAY, None)

    assert [row.request_id for row in work.inbox] == [f"asked:{MODEL}:r-1"]


def test_a_request_id_can_take_no_commands_result_away(office: Office) -> None:
    office.bench.step()
    [row] = office.bench.store.outbox.claim("w", 60.0, office.bench.store.database.now() + 1)
    ask(office, "retrain", request_id=f"result:{row.op_id}")

    office.bench.store.outbox.finish(row.op_id, row.attempt, "w", "done", {"version": "1"})

    work = office.bench.store.control.work(MODEL, ["predictions"], 0.0, DAY, None)
    assert {message.kind for message in work.inbox} == {"operator", "result"}


@pytest.mark.parametrize("limit", ["-1", "1000000", "many"])
def test_a_limit_that_makes_no_sense_is_refused(office: Office, limit: str) -> None:
    for path in (f"?decisions={limit}", f"/decisions?limit={limit}"):
        assert office.client.get(f"/api/models/{MODEL}{path}").status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        {"by": ""},
        {"by": "a" * 1_000},
        {"arguments": {f"a{i}": 1 for i in range(100)}},
        {"arguments": {"why": "x" * 100_000}},
        {"request_id": "r" * 1_000},
    ],
    ids=["nobody", "a long name", "many arguments", "a long argument", "a long id"],
)
def test_a_wish_without_bounds_is_refused(office: Office, body: dict[str, Any]) -> None:
    assert ask(office, "retrain", **body).status_code == 422


def test_a_token_comes_as_a_bearer_and_in_no_other_form(office: Office) -> None:
    assert ask(office, "retrain", headers={"Authorization": "secret"}).status_code == 401
    assert ask(office, "retrain", headers={"Authorization": "Basic secret"}).status_code == 401
    assert ask(office, "retrain", headers={"Authorization": "bearer secret"}).status_code == 202


def test_a_store_that_is_away_is_told_as_such(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> list[Any]:
        raise UnreachableError("store: database is locked")

    monkeypatch.setattr(office.bench.store.policies, "all", away)
    answer = office.client.get("/api/models")

    assert answer.status_code == 503
    assert answer.json()["detail"] == "store: database is locked"


def test_a_pause_of_everything_is_seen_in_the_status(office: Office) -> None:
    assert office.status()["paused_all"] is False
    office.client.post("/api/pause-all", json={"by": "ada"}, headers=TOKEN)
    assert office.status()["paused_all"] is True


def test_an_unknown_model_is_told_with_the_known_ones(office: Office) -> None:
    answer = office.client.get("/api/models/flight-dellay")

    assert answer.status_code == 404
    assert "flight-delay" in answer.json()["detail"]


def test_an_unknown_wish_is_told_with_the_known_ones(office: Office) -> None:
    answer = ask(office, "explode")

    assert answer.status_code == 404
    assert "retrain" in answer.json()["detail"]


def test_an_unknown_field_of_a_wish_is_refused(office: Office) -> None:
    assert ask(office, "retrain", whatever=1).status_code == 422


def test_a_bad_policy_is_refused_with_all_its_mistakes(office: Office) -> None:
    bad = POLICY.replace("mode: auto", "mode: always").replace("retrain:", "retrian:")
    answer = office.client.post("/api/policies", json={"text": bad, "by": "ada"}, headers=TOKEN)

    assert answer.status_code == 422
    told = "\n".join(answer.json()["detail"])
    assert "2:7: mode:" in told
    assert "did you mean 'retrain'?" in told
    spec = office.bench.book.spec(MODEL)
    assert spec is not None
    assert (spec.mode, spec.revision) == ("auto", 1)


def test_a_good_policy_gets_a_revision_and_the_same_one_keeps_it(office: Office) -> None:
    changed = POLICY.replace("mode: auto", "mode: observe")
    revisions = [
        office.client.post("/api/policies", json={"text": text, "by": "a"}, headers=TOKEN).json()
        for text in (POLICY, changed, changed)
    ]

    assert revisions == [{"revision": 1}, {"revision": 2}, {"revision": 2}]


def test_a_model_is_busy_until_its_commands_have_ended(office: Office) -> None:
    assert office.status()["busy"] is False
    office.bench.step()
    assert office.status()["busy"] is True
    office.bench.settle()
    assert office.status()["busy"] is False


def test_a_wish_in_the_inbox_keeps_a_model_busy(office: Office) -> None:
    office.bench.step()
    office.bench.settle()
    ask(office, "retrain")

    assert office.status()["busy"] is True


def test_what_is_wrong_is_told_by_health(tmp_path: Path) -> None:
    office = Office(tmp_path, wrong=("ingest has made no progress for 200 s",))
    answer = office.client.get("/health")

    assert answer.status_code == 503
    assert answer.json()["wrong"] == ["ingest has made no progress for 200 s"]
    office.bench.store.close()


def test_the_report_of_a_model_that_nobody_asked_yet_is_a_page(office: Office) -> None:
    page = office.client.get(f"/api/models/{MODEL}/report")

    assert page.status_code == 200
    assert "<h1>flight-delay</h1>" in page.text


def test_the_report_tells_quality_and_decisions(office: Office) -> None:
    bench = office.bench
    bench.step()
    bench.settle()
    answers = [
        Answer(id=f"{day}-{i}", ts=START + day * DAY + i, label="late" if i % 2 else "on_time")
        for day in range(3)
        for i in range(4)
    ]
    bench.flush(answers, START + 4 * DAY)
    bench.step()
    spec = bench.book.spec(MODEL)
    assert spec is not None

    page = render_report(bench.store, spec, {"figures": {"promotions": 2}}).decode()

    assert "Brier skill" in page
    assert "promotions" in page
    assert "version 1 is champion by the registry" in page


def test_a_policy_may_be_published_against_a_revision_only(office: Office) -> None:
    body = {"text": f"{POLICY}owner: somebody\n", "by": "ci"}

    late = office.client.post("/api/policies", json={**body, "expect": 7}, headers=TOKEN)
    assert late.status_code == 409
    assert "revision 1 is in force, not the expected revision 7" in late.json()["detail"]
    done = office.client.post("/api/policies", json={**body, "expect": 1}, headers=TOKEN)
    assert done.json() == {"revision": 2}


def test_workers_are_listed(office: Office) -> None:
    office.bench.store.workers.beat("w-1", "ingest", 1.0, {"lag": 3})

    [worker] = office.client.get("/api/workers").json()

    assert (worker["worker"], worker["role"], worker["alive"], worker["lag"]) == (
        "w-1", "ingest", True, 3,
    )  # fmt: skip
