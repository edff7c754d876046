"""A key service that speaks the API of AWS KMS: the keys never leave it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiobotocore.config import AioConfig
from botocore.exceptions import BotoCoreError, ClientError

from gantry.common.adapters.aws_credentials import session_of
from gantry.common.config.secret_files import Secret
from gantry.common.errors import Corrupt, DependencyUnavailable, KeyWithheld
from gantry.common.ports.keys import NewKey

T = TypeVar("T")
DEPENDENCY = "key service"
_LENGTH = 32
_CHANGED = "InvalidCiphertextException"
_WITHHELD = {
    "AccessDeniedException",
    "DisabledException",
    "IncorrectKeyException",
    "InvalidKeyUsageException",
    "KMSInvalidStateException",
    "NotFoundException",
}


@dataclass(frozen=True, slots=True)
class KmsKey:
    """The wrapping key, its service and the credentials. Without `access_key`, credentials are those that AWS's tools
    find."""

    id: str
    """Key id, ARN, or `alias/NAME`."""
    region: str
    endpoint: str | None = None
    access_key: str | None = None
    secret_key: Secret | None = field(default=None, repr=False)
    deadline: float = 10.0
    """Seconds for an answer."""
    ca_file: str | None = None


class Kms:
    """`KeyService` by GenerateDataKey, Decrypt and ReEncrypt. A key that AWS rotates under its id still unwraps older
    data; an alias that points to another key makes that one current."""

    def __init__(self, key: KmsKey) -> None:
        self._key = key
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._opened: Any = None

    async def new(self, purpose: str) -> NewKey:
        """As the port has it."""
        answer = await self._call(
            "generate_data_key", KeyId=self._key.id, NumberOfBytes=_LENGTH, EncryptionContext=_context(purpose)
        )
        return NewKey(answer["Plaintext"], answer["CiphertextBlob"], answer["KeyId"])

    async def open(self, wrapped: bytes, wrapping_key: str, purpose: str) -> bytes:
        """As the port has it."""
        answer = await self._call(
            "decrypt", CiphertextBlob=wrapped, KeyId=wrapping_key, EncryptionContext=_context(purpose)
        )
        return bytes(answer["Plaintext"])

    async def wrap_anew(self, wrapped: bytes, wrapping_key: str, purpose: str) -> tuple[bytes, str]:
        """As the port has it."""
        answer = await self._call(
            "re_encrypt",
            CiphertextBlob=wrapped,
            SourceKeyId=wrapping_key,
            SourceEncryptionContext=_context(purpose),
            DestinationKeyId=self._key.id,
            DestinationEncryptionContext=_context(purpose),
        )
        return bytes(answer["CiphertextBlob"]), str(answer["KeyId"])

    async def current(self) -> str:
        """As the port has it."""
        answer = await self._call("describe_key", KeyId=self._key.id)
        return str(answer["KeyMetadata"]["Arn"])

    async def close(self) -> None:
        """As the port has it."""
        await self._stack.aclose()

    async def _client(self) -> Any:
        async with self._opening:
            if self._opened is None:
                key = self._key
                self._opened = await self._stack.enter_async_context(
                    session_of(key.access_key, key.secret_key).create_client(
                        "kms",
                        region_name=key.region,
                        endpoint_url=key.endpoint,
                        verify=key.ca_file,
                        config=AioConfig(retries={"mode": "standard", "max_attempts": 3}, connect_timeout=3),
                    )
                )
            return self._opened

    async def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        try:
            async with asyncio.timeout(self._key.deadline):
                call: Awaitable[dict[str, Any]] = getattr(await self._client(), operation)(**arguments)
                return await call
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code == _CHANGED:
                raise Corrupt("a data key was changed where it lies") from error
            if code in _WITHHELD:
                raise KeyWithheld(f"the server answered {code}") from error
            raise DependencyUnavailable(DEPENDENCY, f"the server answered {code}") from error
        except TimeoutError as error:
            raise DependencyUnavailable(DEPENDENCY, f"no answer within {self._key.deadline:g} s") from error
        except (BotoCoreError, OSError) as error:
            raise DependencyUnavailable(DEPENDENCY, type(error).__name__) from error


def _context(purpose: str) -> dict[str, str]:
    return {"gantry": purpose}
