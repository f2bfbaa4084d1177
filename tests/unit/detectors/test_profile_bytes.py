"""A profile goes to the registry and comes back, in this release or a later one."""

import json
import zlib
from typing import Any

import numpy as np
import pytest

from detectors import profile as module
from detectors.profile import Profile, StreamProfile, default_layouts
from detectors.quality import QualitySketch
from detectors.sketches.category import CategoryLayout
from detectors.sketches.numeric import NumericLayout


def january() -> Profile:
    rng = np.random.default_rng(1)
    temp, origin = rng.normal(36, 9, 900), ["JFK"] * 500 + ["EWR"] * 380 + [None] * 20
    numbers, names = NumericLayout.from_reference(temp), CategoryLayout.from_reference(origin)
    return Profile(
        version="3",
        n=900,
        since=1_356_998_400.0,
        until=1_359_417_600.0,
        streams={
            "temp": StreamProfile(layout=numbers, counts=numbers.fold(temp)),
            "origin": StreamProfile(layout=names, counts=names.fold(origin)),
        },
        quality=QualitySketch.fold(np.array([0.2, 0.7]), np.array([0, 1]), np.array([0, 1])),
    )


def test_comes_back_from_its_bytes_whole() -> None:
    before = january()
    after = Profile.from_bytes(before.to_bytes())

    assert (after.version, after.n, after.since, after.until) == (
        "3",
        900,
        before.since,
        before.until,
    )
    assert after.layouts == before.layouts
    assert after.quality == before.quality
    for name, stream in before.streams.items():
        assert after.streams[name].counts.tolist() == stream.counts.tolist()
    assert before.to_bytes() == after.to_bytes()


def test_shares_leave_the_missing_out() -> None:
    origin = january().streams["origin"]

    assert origin.shares.tolist() == [380 / 880, 500 / 880, 0.0, 0.0]
    assert origin.missing_share == 20 / 900
    assert origin.n == 880


def test_a_stream_without_values_has_no_shares() -> None:
    layout = NumericLayout((1.0,))
    nothing = StreamProfile(layout=layout, counts=layout.fold([]))
    missing = StreamProfile(layout=layout, counts=layout.fold([None]))

    assert np.isnan(nothing.shares).all()
    assert np.isnan(nothing.missing_share)
    assert missing.missing_share == 1.0


def packed(**changes: Any) -> bytes:
    document = json.loads(zlib.decompress(january().to_bytes()))
    return zlib.compress(json.dumps({**document, **changes}).encode())


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no profile"),
        (b"{}", "no profile"),
        (zlib.compress(b"[]"), "no profile"),
        (january().to_bytes()[:-20], "no profile|cut off"),
        (packed(format=99), "format 99; this release reads up to format 1"),
        (packed(format=None), "format None"),
        (
            packed(streams={"temp": {"layout": {"kind": "numeric", "edges": []}, "counts": [1]}}),
            "temp",
        ),
        (packed(streams=None), "damaged"),
    ],
    ids=["empty", "text", "list", "cut", "later", "none", "counts", "streams"],
)
def test_what_is_no_profile_is_an_error_that_says_why(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Profile.from_bytes(data)


def test_an_earlier_format_is_brought_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    def named_since(document: dict[str, Any]) -> dict[str, Any]:
        return {**document, "format": 1, "since": document["from"]}

    monkeypatch.setattr(module, "_UPCASTS", {0: named_since})

    assert Profile.from_bytes(packed(format=0, **{"from": 5.0})).since == 5.0


def test_streams_without_a_reference_have_layouts() -> None:
    layouts = default_layouts((100.0, 250.0))
    latency = layouts["@latency_ms"].fold([99.0, 100.5, 300.0])

    assert sorted(layouts) == ["@latency_ms", "@prediction", "@score"]
    assert layouts["@score"].fold([0.0, 1.0]).tolist()[:1] == [1]
    assert layouts["@score"].size == 257
    assert latency.sum() == 3
