"""A key service with the API of AWS KMS, for tests: local-kms, as a process."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any, Self

import pytest
from aiobotocore.session import get_session

from gantry.common.adapters.kms import KmsKey
from tests.support.answering import http_answers, wait_for
from tests.support.parts import part, parts
from tests.support.ports import free_port
from tests.support.server import Unavailable

_REGION = "eu-central-1"


class KeyServer:
    """The service on a free port, within `with`; its data is in a folder. Skips the test if it is not available."""

    def __init__(self, folder: Path) -> None:
        try:
            parts("kms")
        except Unavailable as error:
            pytest.skip(f"no key service: {error}")
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, or start it again with its data."""
        environment = {**os.environ, "PORT": str(self._port), "KMS_REGION": _REGION, "KMS_DATA_PATH": str(self._folder)}
        with (self._folder / "kms.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(part("kms", "LOCAL_KMS") / "local-kms")],
                cwd=self._folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_for(lambda: http_answers(f"http://127.0.0.1:{self._port}/"), 30, "the key service")

    def stop(self) -> None:
        """End it; it can be started again."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(10)
            self._process = None

    def key(self, key_id: str, deadline: float = 5.0) -> KmsKey:
        """The settings for using one of its keys."""
        return KmsKey(key_id, _REGION, f"http://127.0.0.1:{self._port}", "someone", "secret", deadline)

    async def call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """Call its API as administrator."""
        key = self.key("")
        async with get_session().create_client(
            "kms",
            region_name=key.region,
            endpoint_url=key.endpoint,
            aws_access_key_id=key.access_key,
            aws_secret_access_key=key.secret_key,
        ) as client:
            answer: dict[str, Any] = await getattr(client, operation)(**arguments)
            return answer

    async def make_key(self, alias: str = "") -> str:
        """Create a key with an alias; returns its ARN."""
        made = await self.call("create_key")
        if alias:
            await self.call("create_alias", AliasName=alias, TargetKeyId=made["KeyMetadata"]["KeyId"])
        return str(made["KeyMetadata"]["Arn"])
