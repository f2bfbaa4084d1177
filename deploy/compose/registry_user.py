"""Makes the user `driftd` in MLflow, or gives it its password again; standard library only.

MLFLOW_URL, MLFLOW_ADMIN_PASSWORD and MLFLOW_DRIFTD_PASSWORD say where and with what. Running it
twice changes nothing.
"""

import base64
import json
import os
import sys
import urllib.error
import urllib.request

USER = "driftd"


def call(method: str, path: str, body: dict[str, str]) -> tuple[int, str]:
    """Status and body of one call as the administrator."""
    secret = base64.b64encode(f"admin:{os.environ['MLFLOW_ADMIN_PASSWORD']}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310 - the address comes from our own environment
        f"{os.environ['MLFLOW_URL']}/api/2.0/mlflow/users/{path}",
        json.dumps(body).encode(),
        {"Authorization": f"Basic {secret}", "Content-Type": "application/json"},
        method=method,
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - the same
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def main() -> int:
    """The process's exit code: 0 when the user stands, 1 with MLflow's words when not."""
    account = {"username": USER, "password": os.environ["MLFLOW_DRIFTD_PASSWORD"]}
    status, said = call("POST", "create", account)
    if "RESOURCE_ALREADY_EXISTS" in said:
        status, said = call("PATCH", "update-password", account)
    if status != 200:
        sys.stderr.write(f"MLflow did not make the user {USER}: {status} {said}\n")
        return 1
    sys.stdout.write(f"MLflow knows the user {USER}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
