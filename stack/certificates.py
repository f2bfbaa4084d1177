"""A throw-away authority with certificates for a broker and for one client, made by openssl."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from stack.install import program


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """PEM files. ``broker``: key, certificate and authority in one file, as Kafka takes them."""

    ca: Path
    broker: Path
    client_certificate: Path
    client_key: Path


def make_certificates(folder: Path) -> Certificates:
    """An authority of its own in ``folder``; the broker is 127.0.0.1, the client is CN=driftd."""
    folder.mkdir(parents=True, exist_ok=True)
    _openssl(
        folder,
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=test-ca"),
        *("-keyout", "ca.key", "-out", "ca.pem"),
        *("-addext", "basicConstraints=critical,CA:TRUE"),
        *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
    )
    for name, subject in (("broker", "localhost"), ("client", "driftd")):
        _sign(folder, name, subject)
    broker = folder / "broker.pem"
    parts = [folder / "broker.pk8", folder / "broker.crt", folder / "ca.pem"]
    broker.write_text("".join(part.read_text() for part in parts))
    return Certificates(
        ca=folder / "ca.pem",
        broker=broker,
        client_certificate=folder / "client.crt",
        client_key=folder / "client.pk8",
    )


def _sign(folder: Path, name: str, subject: str) -> None:
    _openssl(
        folder,
        *("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={subject}"),
        *("-keyout", f"{name}.key", "-out", f"{name}.csr"),
    )
    extensions = folder / f"{name}.ext"
    extensions.write_text(
        "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n"
    )
    _openssl(
        folder,
        *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key"),
        *("-CAcreateserial", "-days", "30", "-out", f"{name}.crt", "-extfile", extensions.name),
    )
    _openssl(
        folder,
        *("pkcs8", "-topk8", "-nocrypt", "-in", f"{name}.key", "-out", f"{name}.pk8"),
    )


def _openssl(folder: Path, *arguments: str) -> None:
    command = [str(program("openssl")), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"openssl {arguments[0]} failed: {done.stderr}")
