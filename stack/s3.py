"""An S3 service of this machine (moto) that knows nobody's secrets."""

import sys
from collections.abc import Mapping, Sequence

import boto3

from driftd.demo.children import Children, free_port
from stack.services import Service, answers

REGION = "us-east-1"


class S3(Service):
    """One server in memory: what it holds is gone when it ends."""

    def __init__(self, children: Children, *, name: str = "s3") -> None:
        super().__init__(children, name)
        self._port = free_port()

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def client_environment(self) -> Mapping[str, str]:
        """What a process that uses it needs."""
        return {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "testtest1",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint,
            "MLFLOW_S3_ENDPOINT_URL": self.endpoint,
        }

    def command(self) -> Sequence[str]:
        """The server."""
        start = "import sys; from moto.server import main; main(sys.argv[1:])"
        return [sys.executable, "-c", start, "-H", "127.0.0.1", "-p", str(self._port)]

    def is_ready(self) -> bool:
        """Whether it answers."""
        return answers(f"{self.endpoint}/moto-api/")

    def create_bucket(self, bucket: str) -> None:
        """Make a bucket; one that is there stays."""
        client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="testtest1",
        )
        client.create_bucket(Bucket=bucket)
        client.close()
