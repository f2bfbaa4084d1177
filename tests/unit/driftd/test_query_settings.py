"""What the settings may say of queries, credentials and links, and what a person reads if not."""

from pathlib import Path

import pytest

from driftd.clients.access import http_options
from driftd.clients.prometheus import filled
from driftd.control.alerts import links_of
from driftd.errors import MistakeError
from driftd.sections import AccessSettings, AlertmanagerSettings, HttpSettings
from driftd.settings import load_settings, read_settings

WRONG = {
    'prometheus: {queries: {q: "up{model=$model}"}}': (
        '$model stands outside quotes; write {model="$model"}'
    ),
    "prometheus: {queries: {q: 'up[$__range]'}}": "there is no $__range; only $model is filled in",
    "alertmanager: {username: driftd}": "username and password_env belong together",
    "alertmanager: {username: a, password_env: B, token_env: C}": "a server asks for one of them",
    "prometheus: {key_file: k.pem}": "certificate_file and key_file belong together",
    "http: {public_url: driftd.example.com}": "must be a URL such as",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_mistake_says_what_to_write(text: str) -> None:
    settings, mistakes = read_settings(text)

    assert settings is None
    assert any(WRONG[text] in one.text("s.yaml") for one in mistakes)


def test_a_files_paths_are_taken_from_its_folder(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(
        "alertmanager: {ca_file: ca.pem}\n"
        "prometheus: {certificate_file: tls/c.pem, key_file: tls/k.pem}\n"
    )
    settings = load_settings(file)

    assert settings.alertmanager.ca_file == tmp_path / "ca.pem"
    assert settings.prometheus.key_file == tmp_path / "tls/k.pem"


@pytest.mark.parametrize(
    ("promql", "text"),
    [
        ('up{model="$model"}', 'up{model="a.b"}'),
        ("up{model='$model', job=\"x\"}", "up{model='a.b', job=\"x\"}"),
        ("up{model=`$model`}", "up{model=`a.b`}"),
        ('max(up{a="\\"", model="$model"})', 'max(up{a="\\"", model="a.b"})'),
        ("up", "up"),
        (
            'label_replace(up, "a", "$1", "b", "$models")',
            'label_replace(up, "a", "$1", "b", "$models")',
        ),
    ],
)
def test_the_model_is_filled_in_within_quotes(promql: str, text: str) -> None:
    settings, mistakes = read_settings(f"prometheus: {{queries: {{q: {promql!r}}}}}")
    assert (settings is None) == bool(mistakes)

    assert filled(promql, "a.b") == text


def test_a_name_cannot_leave_its_quotes() -> None:
    assert filled('up{model="$model"}', 'x"} or up{a="') == 'up{model="x\\"} or up{a=\\""}'


def test_a_secret_that_is_not_set_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AM_PASSWORD", raising=False)
    access = AccessSettings(username="driftd", password_env="AM_PASSWORD")

    with pytest.raises(MistakeError, match=r"alertmanager\.password_env .* AM_PASSWORD"):
        http_options(access, "alertmanager")


def test_a_ca_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    access = AccessSettings(ca_file=tmp_path / "ca.pem")

    with pytest.raises(MistakeError, match=r"prometheus\.ca_file .*ca\.pem"):
        http_options(access, "prometheus")


@pytest.mark.parametrize(
    ("http", "report"),
    [
        ({}, "http://127.0.0.1:81"),
        ({"host": "0.0.0.0"}, ""),
        ({"host": "::1"}, "http://[::1]:81"),
        ({"host": "0.0.0.0", "public_url": "https://d.example.com/"}, "https://d.example.com"),
    ],
)
def test_a_report_is_linked_where_it_can_be_read(http: dict[str, str], report: str) -> None:
    links = links_of(HttpSettings.model_validate(http), AlertmanagerSettings(), 81)

    path = "/api/models/{model}/report#incident-{incident}"
    assert links.report == (f"{report}{path}" if report else "")


@pytest.mark.parametrize(
    ("url", "runbook"),
    [
        (None, "docs/runbooks/{kind}.md"),
        ("https://git.example.com/runbooks/", "https://git.example.com/runbooks/{kind}.md"),
        ("https://wiki.example.com/{kind}?x", "https://wiki.example.com/{kind}?x"),
    ],
)
def test_a_runbook_is_a_file_or_a_page(url: str | None, runbook: str) -> None:
    links = links_of(HttpSettings(), AlertmanagerSettings(runbook_url=url), 81)

    assert links.runbook == runbook
