"""The fake AWS, on a loopback port of the tests' own."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import boto3
import httpx

from stack.paths import VENV, free_port

CREDENTIALS = {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


class Aws:
    """The running fake AWS. Loses its data when it stops."""

    def __init__(self, folder: Path, services: str = "dynamodb,sqs") -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder, self._services = folder, services
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Aws:
        self._folder.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {
            "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(self.port), "SERVICES": self._services,
            "SFTP_ENABLED": "0", "IOT_MTLS_ENABLED": "0", "TMPDIR": str(self._folder), "LOG_LEVEL": "WARNING"}
        with (self._folder / "aws.log").open("ab") as log:
            self._process = subprocess.Popen([VENV / "bin" / "ministack"], env=environment, cwd=self._folder,
                                             stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 60
        while not self._serves():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise RuntimeError(f"the fake AWS did not start; look into {self._folder / 'aws.log'}")
            time.sleep(0.05)
        return self

    def _serves(self) -> bool:
        try:
            return httpx.get(f"{self.url}/_ministack/health", trust_env=False, timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    @property
    def environment(self) -> dict[str, str]:
        """What AWS's clients find it by."""
        return CREDENTIALS | {"AWS_ENDPOINT_URL": self.url}

    def client(self, service: str) -> Any:
        """A client of one of its services."""
        return boto3.client(service, endpoint_url=self.url, region_name=CREDENTIALS["AWS_REGION"],
                            aws_access_key_id="test", aws_secret_access_key="test")

    def create_ledger_table(self, name: str) -> None:
        """The ledger's table, as template.yaml makes it."""
        self.client("dynamodb").create_table(
            TableName=name, BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}])
