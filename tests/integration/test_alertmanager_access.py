"""A real Alertmanager behind TLS and basic auth: who gets in, and what is said to who does not."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from driftd.demo.children import Children
from driftd.errors import RefusedError, UnreachableError
from driftd.sections import AccessSettings
from stack.certificates import Certificates, make_certificates
from stack.hook import Hook
from tests.support.alerting import Told, alert, send

# bcrypt of "s3cret" at its lowest cost.
HASH = "$2b$04$6Xbc.khhqm3/guudPJ67qeBVe4CJ2V/zmqImnQNRJ.e./jXETVUuy"


@dataclass(frozen=True, kw_only=True)
class Locked:
    """The server and who vouches for it."""

    url: str
    certificates: Certificates

    def access(self, **how: Any) -> AccessSettings:
        """What the settings would say."""
        return AccessSettings(ca_file=self.certificates.ca, **how)


class Tls(Told):
    """One whose port speaks TLS; it is ready once it has said that it listens."""

    @property
    def url(self) -> str:
        """Its address."""
        return super().url.replace("http:", "https:")

    def is_ready(self) -> bool:
        """Whether it listens; what it answers needs a password."""
        return "TLS is enabled" in self.children.log(self.name).read_text()


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    """A server that wants a certificate, a user and a password."""
    folder: Path = tmp_path_factory.mktemp("locked")
    certificates = make_certificates(folder / "tls")
    web = folder / "web.yml"
    tls = folder / "tls"
    web.write_text(
        f"tls_server_config:\n"
        f"  cert_file: {tls / 'broker.crt'}\n  key_file: {tls / 'broker.pk8'}\n"
        f"  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: {certificates.ca}\n"
        f"basic_auth_users: {{driftd: '{HASH}'}}\n"
    )
    children = Children(folder)
    with Hook() as hook:
        server = Tls(children, folder / "am", webhook=hook.url)
        server.more = [f"--web.config.file={web}"]
        try:
            server.start()
            yield Locked(url=server.url, certificates=certificates)
        finally:
            children.stop_all()


def with_certificate(locked: Locked, **how: str) -> AccessSettings:
    """The same with the client's own certificate."""
    mine = {
        "certificate_file": locked.certificates.client_certificate,
        "key_file": locked.certificates.client_key,
    }
    return locked.access(**how).model_copy(update=mine)


def test_who_has_all_of_it_is_let_in(locked: Locked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AM_PASSWORD", "s3cret")
    access = with_certificate(locked, username="driftd", password_env="AM_PASSWORD")

    assert send([locked.url], alert("m"), access=access).taken == 1


def test_a_wrong_password_names_the_keys_of_the_settings(
    locked: Locked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AM_PASSWORD", "wrong")
    access = with_certificate(locked, username="driftd", password_env="AM_PASSWORD")

    with pytest.raises(RefusedError, match=r"HTTP 401.*check alertmanager\.username and password"):
        send([locked.url], alert("m"), access=access)


def test_a_token_where_a_password_is_wanted_is_refused(
    locked: Locked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AM_TOKEN", "s3cret")

    with pytest.raises(RefusedError, match="HTTP 401"):
        send([locked.url], alert("m"), access=with_certificate(locked, token_env="AM_TOKEN"))


def test_an_unknown_authority_names_the_key_that_would_help(locked: Locked) -> None:
    with pytest.raises(UnreachableError, match=r"name the authority .* as alertmanager\.ca_file"):
        send([locked.url], alert("m"), access=AccessSettings())


def test_without_a_certificate_of_its_own_nobody_is_let_in(locked: Locked) -> None:
    with pytest.raises(UnreachableError):
        send([locked.url], alert("m"), access=locked.access())
