"""A token endpoint (client credentials) that signs real JWTs, and publishes the key to check them."""

import base64
import json
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from stack.install import program


class TokenServer:
    """``clients``: id -> secret; the token's subject is the id. ``life_s``: how long one is good;
    it may be changed while the server runs. ``answered`` counts the tokens that were given."""

    def __init__(self, folder: Path, clients: Mapping[str, str], life_s: float = 300.0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._key = folder / "token.key"
        self.clients = dict(clients)
        self.life_s = life_s
        self.answered = 0
        _openssl("genrsa", "-out", str(self._key), "2048")
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def token_url(self) -> str:
        """Where clients ask."""
        return f"{self._url}/token"

    @property
    def jwks_url(self) -> str:
        """Where the broker finds the key."""
        return f"{self._url}/jwks"

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def jwks(self) -> dict[str, Any]:
        """The public key as a set of JSON Web Keys."""
        said = _openssl("rsa", "-in", str(self._key), "-modulus", "-noout").decode()
        modulus = bytes.fromhex(said.strip().removeprefix("Modulus="))
        key = {"kty": "RSA", "kid": "test", "use": "sig", "alg": "RS256"}
        return {"keys": [{**key, "n": _plain(modulus), "e": _plain(b"\x01\x00\x01")}]}

    def token(self, subject: str) -> str:
        """A signed token for ``subject``."""
        now = time.time()  # noqa: TID251 - the harness is no part of the product
        head = {"alg": "RS256", "kid": "test", "typ": "JWT"}
        claims = {
            "sub": subject,
            "iss": self._url,
            "iat": int(now),
            "exp": int(now + self.life_s),
            "scope": "kafka",
        }
        signed = ".".join(_plain(json.dumps(part).encode()) for part in (head, claims))
        signature = _openssl("dgst", "-sha256", "-sign", str(self._key), stdin=signed.encode())
        self.answered += 1
        return f"{signed}.{_plain(signature)}"

    def answer(self, authorization: str, form: str) -> tuple[int, dict[str, Any]]:
        """Status and body for one request of a token."""
        kind, _, packed = authorization.partition(" ")
        given = base64.b64decode(packed).decode() if kind == "Basic" else ""
        client, _, secret = given.partition(":")
        if not client or self.clients.get(client) != secret:
            return 401, {"error": "invalid_client"}
        if urllib.parse.parse_qs(form).get("grant_type") != ["client_credentials"]:
            return 400, {"error": "unsupported_grant_type"}
        token = self.token(client)
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": self.life_s}


def _handler(tokens: TokenServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._write(200, tokens.jwks())

        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._write(*tokens.answer(self.headers.get("Authorization", ""), form))

        def _write(self, status: int, body: Mapping[str, Any]) -> None:
            raw = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has above
            pass

    return Handler


def _openssl(*arguments: str, stdin: bytes = b"") -> bytes:
    command = [str(program("openssl")), *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, check=True).stdout


def _plain(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
