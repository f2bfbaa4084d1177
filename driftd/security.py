"""What in ``kafka.security`` is right by itself and cannot be together, each told by its name."""

from collections.abc import Iterator

from driftd.sections import SecuritySettings
from policies.mistakes import Mistake

_WHERE = ("kafka", "security")
OAUTHBEARER = "OAUTHBEARER"


def security_mistakes(security: SecuritySettings) -> list[Mistake]:
    """Every mistake of the section."""
    return [*_logins(security), *_tls(security)]


def _logins(security: SecuritySettings) -> Iterator[Mistake]:
    protocol, mechanism, oauth = security.protocol, security.mechanism, security.oauth
    if not protocol.startswith("SASL"):
        if security.username:
            why = f"is set, but {protocol} sends no user name; write protocol: SASL_SSL"
            yield Mistake((*_WHERE, "username"), why)
        if oauth is not None:
            why = f"is set, but {protocol} sends no token; write protocol: SASL_SSL"
            yield Mistake((*_WHERE, "oauth"), why, about="key")
        return
    if mechanism != OAUTHBEARER:
        if not security.username:
            why = f"is missing; {protocol} needs one"
            yield Mistake((*_WHERE, "username"), why, about="section")
        if oauth is not None:
            why = f"is set, but the mechanism is {mechanism}; write mechanism: {OAUTHBEARER}"
            yield Mistake((*_WHERE, "oauth"), why, about="key")
        return
    if security.username:
        why = f"is set, but with {OAUTHBEARER} the broker takes the name from the token; remove it"
        yield Mistake((*_WHERE, "username"), why)
    for key in ("token_url", "client_id"):
        if oauth is None or not getattr(oauth, key):
            why = f"is missing; {OAUTHBEARER} needs one"
            yield Mistake((*_WHERE, "oauth", key), why, about="section")


def _tls(security: SecuritySettings) -> Iterator[Mistake]:
    protocol = security.protocol
    if not protocol.endswith("SSL"):
        for key in ("ca_file", "certificate_file", "key_file"):
            if getattr(security, key) is not None:
                secure = "SASL_SSL" if protocol.startswith("SASL") else "SSL"
                why = f"is set, but {protocol} uses no TLS; write protocol: {secure}"
                yield Mistake((*_WHERE, key), why)
        return
    if security.key_file is not None and security.certificate_file is None:
        why = "is missing; key_file is the key of a certificate"
        yield Mistake((*_WHERE, "certificate_file"), why, about="section")
    if security.certificate_file is not None and security.key_file is None:
        why = "is missing; certificate_file needs its key (it may be the same file)"
        yield Mistake((*_WHERE, "key_file"), why, about="section")
    if security.key_password_env is not None and security.key_file is None:
        why = "is set, but there is no key_file that a password could open"
        yield Mistake((*_WHERE, "key_password_env"), why)
