"""What the real servers need on this machine: looked for, installed where it may be, else told."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from driftd.errors import MistakeError
from stack import text

POM = Path(__file__).with_name("pom.xml")
# Postgres lies outside PATH on Debian.
POSTGRES = Path("/usr/lib/postgresql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Something that is needed: the programs that show it is there, and Debian's packages of it."""

    programs: tuple[str, ...]
    packages: tuple[str, ...]


PARTS = {
    "java": Part(programs=("java",), packages=("default-jre-headless",)),
    "maven": Part(programs=("mvn",), packages=("maven",)),
    "postgres": Part(programs=("initdb", "pg_ctl"), packages=("postgresql",)),
    "prometheus": Part(programs=("prometheus", "promtool"), packages=("prometheus",)),
    "alertmanager": Part(
        programs=("prometheus-alertmanager", "amtool"), packages=("prometheus-alertmanager",)
    ),
    "openssl": Part(programs=("openssl",), packages=("openssl",)),
}


def cache() -> Path:
    """Where what was fetched or built stays, for all checkouts of this user."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "driftd"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def program(name: str) -> Path:
    """A program on the PATH or among PostgreSQL's. Raises ``MistakeError`` with what to install."""
    found = _found(name)
    if found is None:
        part = next((one for one in PARTS.values() if name in one.programs), None)
        how = f": {_apt(part.packages)}" if part else ""
        raise MistakeError(f"{name} is not installed on this machine{how}")
    return found


def kafka_jars() -> Path:
    """The folder of Apache Kafka's jars. Raises ``MistakeError`` when they are not there."""
    folder = _jars()
    if not (folder / ".complete").exists():
        raise MistakeError("Apache Kafka is not there yet; run: python -m stack.install")
    return folder


def require(*names: str) -> None:
    """Raise ``MistakeError`` with the exact command for everything that is missing of ``names``."""
    lacking = [name for name in names if name in PARTS and _lacks(PARTS[name])]
    if lacking:
        packages = [one for name in lacking for one in PARTS[name].packages]
        raise MistakeError(f"{', '.join(lacking)} missing; run as root: {_apt(packages)}")
    if "kafka" in names:
        require("java")
        kafka_jars()


def main() -> int:
    """Install what is missing where we may; the process's exit code."""
    lacking = [name for name, part in PARTS.items() if _lacks(part)]
    packages = [one for name in lacking for one in PARTS[name].packages]
    if packages and not _may_install():
        print(
            f"The tests run against real servers. Missing: {', '.join(lacking)}.", file=sys.stderr
        )
        print(f"As root: {_apt(packages)}", file=sys.stderr)
        return 1
    if packages:
        print(f"installing {' '.join(packages)}", file=sys.stderr)
        _install(packages)
    _fetch_kafka()
    text.install(cache())
    return 0


def _found(name: str) -> Path | None:
    on_path = shutil.which(name)
    if on_path:
        return Path(on_path)
    beside = sorted(POSTGRES.glob(f"*/bin/{name}"), key=lambda one: int(one.parts[-3]))
    return beside[-1] if beside else None


def _lacks(part: Part) -> bool:
    return any(_found(name) is None for name in part.programs)


def _apt(packages: Iterable[str]) -> str:
    return f"apt-get install -y --no-install-recommends {' '.join(packages)}"


def _may_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def _install(packages: list[str]) -> None:
    # Debian starts a server with its package; here each test starts its own, so none may run.
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    subprocess.run(["apt-get", "update", "-qq"], check=True, env=quiet)
    command = [*_apt(packages).split(), "-qq"]
    subprocess.run(command, check=True, env=quiet, stdout=sys.stderr)


def _jars() -> Path:
    return cache() / f"kafka-{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}"


def _fetch_kafka() -> None:
    folder = _jars()
    if (folder / ".complete").exists():
        return
    command = [
        *(str(program("mvn")), "-q", "-B", "-f", str(POM), "dependency:copy-dependencies"),
        *(f"-DoutputDirectory={folder}", "-DincludeScope=runtime"),
    ]
    print(f"fetching Apache Kafka into {folder}", file=sys.stderr)
    subprocess.run(command, check=True, stdout=sys.stderr)
    (folder / ".complete").touch()


if __name__ == "__main__":
    sys.exit(main())
