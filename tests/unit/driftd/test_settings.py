"""Settings: defaults, units, paths beside their file, and every mistake at once."""

from pathlib import Path

import pytest

from driftd.errors import MistakeError
from driftd.settings import Settings, SettingsError, load_settings, read_settings
from policies.clashes import Platform

SHIPPED = Path(__file__).parents[3] / "configs" / "settings"


def told(text: str) -> list[str]:
    settings, mistakes = read_settings(text)
    assert (settings is None) == bool(mistakes)
    return [one.text("s.yaml") for one in mistakes]


def test_an_empty_file_is_a_daemon_on_this_machine() -> None:
    assert read_settings("") == (Settings(), ())
    assert read_settings("{}") == (Settings(), ())
    assert Settings().http.host == "127.0.0.1"


@pytest.mark.parametrize("file", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_file_is_good(file: Path) -> None:
    settings = load_settings(file)

    assert settings.policies == SHIPPED / "policies"
    assert settings.store == f"sqlite:///{SHIPPED}/driftd.db"


def test_units_become_seconds_bytes_and_shares() -> None:
    settings = Settings.model_validate(
        {
            "kafka": {"session_timeout": "6s"},
            "ingest": {
                "flush": "200ms",
                "flush_canary": "100ms",
                "record_limit": "2MiB",
                "sample": "100%",
            },
            "trainers": {"t": {"command": ["x"], "run_timeout": "1h30m", "memory": "512MiB"}},
        }
    )

    assert settings.kafka.session_timeout_s == 6.0
    assert settings.ingest.flush_s == 0.2
    assert settings.ingest.record_limit_bytes == 2 * 2**20
    assert settings.ingest.sample == 1.0
    assert settings.trainers["t"].run_timeout_s == 5_400.0
    assert settings.trainers["t"].memory_bytes == 512 * 2**20


def test_paths_are_taken_from_the_folder_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(
        "store: sqlite:///state/d.db\narchive: old\nwork: /var/w\n"
        "kafka: {security: {protocol: SSL, ca_file: ca.pem}}"
    )

    settings = load_settings(file)

    assert settings.store == f"sqlite:///{tmp_path}/state/d.db"
    assert settings.archive == f"{tmp_path}/old"
    assert settings.work == Path("/var/w")
    assert settings.policies == tmp_path / "policies"
    assert settings.kafka.security.ca_file == tmp_path / "ca.pem"


@pytest.mark.parametrize(
    "store", ["postgresql+psycopg://u@db/driftd", "sqlite://", "sqlite:///:memory:"]
)
def test_what_is_no_path_stays(store: str) -> None:
    settings = Settings.model_validate({"store": store, "archive": "s3://bucket/driftd"})

    moved = settings.relative_to(Path("/etc/driftd"))

    assert (moved.store, moved.archive) == (store, "s3://bucket/driftd")


def test_every_mistake_is_told_at_once_with_its_place() -> None:
    text = """\
kafka: {bootstap: "a:1", session_timeout: 4}
topics: {control_partitions: 0}
ingst: {sample: 150%, dead_letters: rwa}
trainers:
  tabular: {kind: subprocess, env: {A: 1}}
http: []
store:
colour: red
"""

    assert told(text) == [
        "s.yaml:1:9: kafka.bootstap: no such key; did you mean 'bootstrap'?",
        "s.yaml:1:43: kafka.session_timeout: 4 has no unit; write 4s, 4m, 4h or 4d",
        "s.yaml:2:30: topics.control_partitions: must be at least 1, not 0",
        "s.yaml:3:1: ingst: no such key; did you mean 'ingest'?",
        (
            "s.yaml:3:17: ingst.sample: 150% is more than everything; "
            "a share lies between 0% and 100%"
        ),
        "s.yaml:3:37: ingst.dead_letters: must be none or raw, not 'rwa'; did you mean 'raw'?",
        "s.yaml:5:3: trainers.tabular.command: is missing; a subprocess needs one",
        "s.yaml:5:40: trainers.tabular.env.A: must be a text, not 1; put it in quotes",
        ("s.yaml:6:7: http: must be a section of keys, not a list; write {} to take every default"),
        "s.yaml:7:1: store: has no value; give it one, or leave the key out",
        (
            "s.yaml:8:1: colour: no such key; there are alertmanager, archive, clock, encoders, "
            "hash_key_env, http, ingest, kafka, limits, mlflow, policies, prometheus, retention, routers, store, topics, "
            "trainers and work"
        ),
    ]


CLASHES = {
    "a password without a name": (
        "kafka: {security: {protocol: SASL_SSL}}",
        "1:9: kafka.security.username: is missing; SASL_SSL needs one",
    ),
    "a canary looked at less often": (
        "ingest: {flush: 1s, flush_canary: 5s}",
        (
            "1:35: ingest.flush_canary: is longer than flush; "
            "a canary is looked at more often, not less"
        ),
    ),
    "nothing sampled": (
        "ingest: {sample: 0%}",
        "1:18: ingest.sample: 0% keeps no prediction; no label could be joined",
    ),
    "one topic for two things": (
        "topics: {control: x, traffic: x}",
        "1:9: topics: two of them are one topic; each needs its own",
    ),
    "a webhook without a URL": (
        "routers: {mesh: {kind: webhook}}",
        "1:11: routers.mesh.url: is missing; a webhook needs one",
    ),
    "a URL without a scheme": (
        "alertmanager: {urls: [localhost:9093]}",
        (
            "1:23: alertmanager.urls[0]: must be a URL such as http://127.0.0.1:9093; "
            "'localhost:9093' is not"
        ),
    ),
    "a variable that is none": (
        "hash_key_env: my key",
        "1:15: hash_key_env: must be the name of an environment variable; 'my key' is not",
    ),
    "a trainer without a usable name": (
        'trainers: {"a b": {command: [x]}}',
        (
            "1:12: trainers.a b: must be a name: at most 100 letters, digits, . _ - and first a letter "
            "or digit; 'a b' is not"
        ),
    ),
}


@pytest.mark.parametrize(("text", "line"), CLASHES.values(), ids=CLASHES)
def test_what_cannot_work_is_refused(text: str, line: str) -> None:
    assert told(text) == [f"s.yaml:{line}"]


def test_the_error_of_a_bad_file_names_every_line(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("clok: wall\nstore: 5\n")

    with pytest.raises(SettingsError) as raised:
        load_settings(file)

    assert str(raised.value) == (
        f"{file}:1:1: clok: no such key; did you mean 'clock'?\n"
        f"{file}:2:8: store: must be a text, not 5; put it in quotes"
    )


def test_a_file_that_is_not_there_is_a_persons_mistake(tmp_path: Path) -> None:
    with pytest.raises(MistakeError, match="cannot be read"):
        load_settings(tmp_path / "none.yaml")


def test_policies_may_use_the_names_that_the_settings_give() -> None:
    settings = Settings.model_validate(
        {
            "trainers": {"tabular": {"command": ["x"]}},
            "prometheus": {"queries": {"gpu_busy": "avg(gpu)"}},
            "encoders": {"sentence": {"source": "models:/sentence/3"}},
        }
    )

    assert settings.platform() == Platform(
        trainers=frozenset({"tabular"}),
        routers=frozenset({"driftd"}),
        queries=frozenset({"gpu_busy"}),
        encoders=frozenset({"sentence"}),
    )


def test_an_encoder_is_a_folder_beside_the_file_or_a_version_in_the_registry(
    tmp_path: Path,
) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(
        "encoders: {a: {source: enc, python: venv/bin/python}, b: {source: 'models:/enc/1'}}"
    )

    found = load_settings(file).encoders

    assert (found["a"].source, found["b"].source) == (f"{tmp_path}/enc", "models:/enc/1")
    assert (found["a"].python, found["b"].python) == (tmp_path / "venv/bin/python", None)
    assert told("encoders: {a: {source: enc, timeout: 31s}}") == [
        "s.yaml:1:38: encoders.a.timeout: is longer than 30s; a flush waits for it and writes nothing"
    ]


def test_no_secret_stands_in_the_settings() -> None:
    assert [name for name in Settings.model_fields if "password" in name or "secret" in name] == []
