"""`make bench NAME=kubernetes`: a real Kubernetes API takes the manifests and refuses what is wrong.

One JSON line: objects applied, pods that the namespace's `restricted` standard admitted, mistakes
that were refused, seconds. The first run on a machine builds the API (about 11 minutes).
"""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from driftd.demo.children import Children
from driftd.errors import DriftdError
from stack.kube import Kube, objects, rendered, service_monitor_crd

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "deploy" / "kubernetes" / "overlays" / "example"
NAMESPACE = "driftd"
APPLY = ("apply", "--server-side", "--validate=strict", "-f", "-")
WAIT_S = 120.0
# What is written wrong in the rendered text, and the name that the API must tell. The second is of a
# kind that only the Prometheus Operator's own definition knows.
MISSPELT = (
    ("terminationGracePeriodSeconds:", "terminationGracePeriodSecond:"),
    ("scrapeTimeout:", "scrapeTimeoutt:"),
    ("allowPrivilegeEscalation: false", "allowPrivilegeEscalation: no way"),
)
ROOT_POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "root", "namespace": NAMESPACE},
    "spec": {"containers": [{"name": "root", "image": "driftd:0.3.0"}]},
}


class RefusedError(DriftdError):
    """The API did not do what it must; the message holds its words."""


def main() -> int:
    """Print the line; the process's exit code."""
    try:
        print(json.dumps(measure()))
    except DriftdError as error:
        print(f"kubernetes: {error}", file=sys.stderr)
        return 1
    return 0


def measure() -> dict[str, object]:
    """What the API took and refused. Raises ``RefusedError`` for the first that went wrong."""
    began = time.monotonic()
    text = rendered(EXAMPLE)
    with cluster() as kube:
        run(kube, *APPLY, "--dry-run=server", text=text)
        run(kube, *APPLY, text=text)
        # The same once more changes nothing.
        again = run(kube, *APPLY, text=text)
        pods = admitted(kube, text)
        refused = [
            refusal(kube, text.replace(was, wrong), wrong.split(":")[0]) for was, wrong in MISSPELT
        ]
        refused.append(refusal(kube, json.dumps(ROOT_POD), "violates PodSecurity"))
        live = follows(kube, text)
        return {
            "benchmark": "kubernetes",
            "version": json.loads(run(kube, "version", "-o", "json"))["serverVersion"][
                "gitVersion"
            ],
            "objects": len(again.splitlines()),
            "pods": pods,
            "refused": len(refused),
            "policy_followed": live,
            "seconds": round(time.monotonic() - began, 1),
        }


@contextmanager
def cluster() -> Iterator[Kube]:
    """An empty cluster that knows ServiceMonitors and has the namespace."""
    folder = Path(tempfile.mkdtemp(prefix="driftd-kubernetes-"))
    children = Children(folder / "logs")
    try:
        kube = Kube(children, folder / "kube")
        kube.start()
        run(kube, *APPLY, text=service_monitor_crd().read_text(encoding="utf-8"))
        crd = "crd/servicemonitors.monitoring.coreos.com"
        run(kube, "wait", "--for=condition=Established", crd, f"--timeout={WAIT_S:.0f}s")
        run(kube, *APPLY, text=(EXAMPLE / "namespace.yaml").read_text(encoding="utf-8"))
        # A pod is admitted only once its namespace has this account.
        until(lambda: "default" in names(kube, "serviceaccounts"), "the default service account")
        yield kube
    finally:
        children.stop_all()
        shutil.rmtree(folder, ignore_errors=True)


def run(kube: Kube, *arguments: str, text: str | None = None) -> str:
    """What kubectl prints. Raises ``RefusedError`` with its words where it fails."""
    done = kube.kubectl(*arguments, text=text)
    if done.returncode:
        raise RefusedError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
    if "Warning" in done.stderr and "version difference" not in done.stderr:
        raise RefusedError(f"kubectl {' '.join(arguments)} warns: {done.stderr.strip()}")
    return done.stdout


def refusal(kube: Kube, text: str, said: str) -> str:
    """The API's words for what it must refuse. Raises ``RefusedError`` if it takes it."""
    done = kube.kubectl(*APPLY, "--dry-run=server", "--force-conflicts", text=text)
    if done.returncode == 0 or said not in done.stderr:
        raise RefusedError(f"the API should have said {said!r}, and said {done.stderr!r}")
    return done.stderr


def admitted(kube: Kube, text: str) -> int:
    """How many pods the controllers made: all that are asked for. None of them runs: no node."""
    wanted = sum(
        one["spec"].get("replicas", 1)
        for one in objects(text)
        if one["kind"] in ("Deployment", "Job")
    )
    until(lambda: len(names(kube, "pods")) >= wanted, f"{wanted} pods")
    found = names(kube, "pods")
    if len(found) != wanted:
        raise RefusedError(f"{wanted} pods are wanted, and there are {found}")
    return len(found)


def follows(kube: Kube, text: str) -> bool:
    """Whether another policy changes the config map that pods mount, and replaces no pod."""
    before = names(kube, "pods")
    run(kube, *APPLY, text=text.replace("mode: alert", "mode: observe"))
    policy: dict[str, Any] = json.loads(
        run(kube, "get", "configmap", "driftd-policies", "-n", NAMESPACE, "-o", "json")
    )["data"]
    return "mode: observe" in policy["flight-delay.yaml"] and names(kube, "pods") == before


def names(kube: Kube, kind: str) -> list[str]:
    """The names of a kind's objects in the namespace, sorted."""
    listed = kube.kubectl("get", kind, "-n", NAMESPACE, "-o", "name").stdout
    return sorted(line.split("/")[1] for line in listed.splitlines())


def until(is_so: Callable[[], bool], what: str) -> None:
    """Return when ``is_so()``. Raises ``RefusedError`` if that takes too long."""
    deadline = time.monotonic() + WAIT_S
    while not is_so():
        if time.monotonic() > deadline:
            raise RefusedError(f"{what}: not there after {WAIT_S:.0f} s")
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
