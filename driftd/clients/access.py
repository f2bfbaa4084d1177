"""What the settings say of a server's credentials and certificates, as httpx takes it."""

import os
import ssl
from collections.abc import Mapping
from typing import Any

from driftd.errors import MistakeError
from driftd.sections import AccessSettings


def http_options(access: AccessSettings, section: str) -> dict[str, Any]:
    """``auth``, ``headers`` and ``verify`` of an ``httpx.AsyncClient``; a secret is read now.

    Raises ``MistakeError`` that names the key of ``section`` where a variable is empty or a file
    cannot be used.
    """
    options: dict[str, Any] = {}
    if access.password_env:
        options["auth"] = (access.username, _secret(access.password_env, f"{section}.password_env"))
    if access.token_env:
        token = _secret(access.token_env, f"{section}.token_env")
        options["headers"] = {"Authorization": f"Bearer {token}"}
    if access.ca_file is not None or access.certificate_file is not None:
        options["verify"] = _tls(access, section)
    return options


def why_not(status: int, section: str, text: str) -> str:
    """An answer that is no success, with what a person may do about it."""
    hints: Mapping[int, str] = {
        401: f"; check {section}.username and password_env, or token_env",
        403: f"; its user may not do this; check {section}.username or token_env",
        404: f"; is the path in {section} right?",
    }
    return f"HTTP {status} {text}".strip() + hints.get(status, "")


def why_unreached(error: Exception, section: str) -> str:
    """A connection that failed, with what a person may do about it."""
    why = str(error) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in why:
        why += f"; name the authority that signed it as {section}.ca_file"
    return why


def _secret(variable: str, key: str) -> str:
    value = os.environ.get(variable, "")
    if not value:
        raise MistakeError(f"{key} names the variable {variable}, which is empty; set it")
    return value


def _tls(access: AccessSettings, section: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=access.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise MistakeError(f"{section}.ca_file {access.ca_file}: {error}") from error
    if access.certificate_file is not None:
        try:
            context.load_cert_chain(access.certificate_file, access.key_file)
        except (OSError, ssl.SSLError) as error:
            files = f"{access.certificate_file} and {access.key_file}"
            raise MistakeError(f"{section}: {files} are no certificate and key: {error}") from error
    return context
