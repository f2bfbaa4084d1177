"""The `kafka.security` section: what cannot be together is told by its name and its place."""

from pathlib import Path

import pytest

from driftd.settings import load_settings, read_settings

OAUTH = "oauth: {token_url: 'https://login.example/token', client_id: driftd}"
GOOD = [
    "protocol: PLAINTEXT",
    "protocol: SSL",
    "protocol: SSL, ca_file: ca.pem, certificate_file: a.pem, key_file: a.pem",
    "protocol: SSL, certificate_file: a.pem, key_file: a.key, key_password_env: WORD",
    "protocol: SASL_PLAINTEXT, mechanism: PLAIN, username: driftd",
    "protocol: SASL_SSL, username: driftd, password_env: WORD",
    f"protocol: SASL_SSL, mechanism: OAUTHBEARER, {OAUTH}",
    "protocol: SASL_SSL, username: driftd, certificate_file: a.pem, key_file: a.key",
]
BAD = [
    ("protocol: SASL_SSL", "username: is missing; SASL_SSL needs one"),
    ("username: driftd", "username: is set, but PLAINTEXT sends no user name"),
    ("protocol: SSL, username: driftd", "username: is set, but SSL sends no user name"),
    (f"protocol: SSL, {OAUTH}", "oauth: is set, but SSL sends no token"),
    (
        f"protocol: SASL_SSL, username: driftd, {OAUTH}",
        "oauth: is set, but the mechanism is SCRAM-SHA-512; write mechanism: OAUTHBEARER",
    ),
    (
        "protocol: SASL_SSL, mechanism: OAUTHBEARER, oauth: {client_id: driftd}",
        "oauth.token_url: is missing; OAUTHBEARER needs one",
    ),
    (
        "protocol: SASL_SSL, mechanism: OAUTHBEARER, oauth: {token_url: 'http://login'}",
        "oauth.client_id: is missing; OAUTHBEARER needs one",
    ),
    ("protocol: SASL_SSL, mechanism: OAUTHBEARER", "oauth.token_url: is missing"),
    (
        f"protocol: SASL_SSL, mechanism: OAUTHBEARER, username: driftd, {OAUTH}",
        "username: is set, but with OAUTHBEARER the broker takes the name from the token",
    ),
    ("ca_file: ca.pem", "ca_file: is set, but PLAINTEXT uses no TLS; write protocol: SSL"),
    (
        "protocol: SASL_PLAINTEXT, username: driftd, ca_file: ca.pem",
        "ca_file: is set, but SASL_PLAINTEXT uses no TLS; write protocol: SASL_SSL",
    ),
    ("protocol: SSL, key_file: a.key", "certificate_file: is missing; key_file is the key of"),
    ("protocol: SSL, certificate_file: a.pem", "key_file: is missing; certificate_file needs"),
    ("protocol: SSL, key_password_env: WORD", "key_password_env: is set, but there is no key_file"),
    ("protocol: SASL_SSL, mechanism: GSSAPI", "mechanism: "),
]


@pytest.mark.parametrize("security", GOOD)
def test_what_belongs_together_is_taken(security: str) -> None:
    settings, mistakes = read_settings(f"kafka: {{security: {{{security}}}}}")

    assert settings is not None
    assert mistakes == ()


@pytest.mark.parametrize(("security", "told"), BAD)
def test_what_cannot_be_together_is_named(security: str, told: str) -> None:
    settings, mistakes = read_settings(f"kafka: {{security: {{{security}}}}}")

    assert settings is None
    assert any(f"kafka.security.{told}" in one.text("s.yaml") for one in mistakes)


def test_all_files_are_taken_from_the_folder_of_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(f"kafka: {{security: {{{GOOD[2]}}}}}")

    security = load_settings(file).kafka.security

    assert security.ca_file == tmp_path / "ca.pem"
    assert security.certificate_file == security.key_file == tmp_path / "a.pem"
