"""Rare calls, through aiobotocore: credentials, listing, sizes, deletes, beginning and end of multipart uploads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any, TypeVar

from aiobotocore.config import AioConfig
from botocore.exceptions import BotoCoreError, ClientError

from gantry.common.adapters.aws_credentials import session_of
from gantry.common.adapters.s3.bucket import S3Bucket
from gantry.common.adapters.s3.errors import DEPENDENCY, S3Refusal, translated
from gantry.common.adapters.s3.signing import Credentials
from gantry.common.errors import Archived, ConfigError, DependencyUnavailable, NotFound
from gantry.common.ports.blobs import BlobStat

T = TypeVar("T")


class Control:
    """The client library's side of the bucket. Opened by `start`."""

    def __init__(self, bucket: S3Bucket) -> None:
        self._bucket = bucket
        self._session = session_of(bucket.access_key, bucket.secret_key)
        self._stack = AsyncExitStack()
        self._client: Any = None
        self._credentials: Any = None

    async def start(self) -> None:
        """Find credentials, create the client. Raises `ConfigError` if there are no credentials."""
        bucket = self._bucket
        self._credentials = await self._session.get_credentials()
        if self._credentials is None:
            raise ConfigError("s3", None, "no credentials: neither set nor where the AWS tools look for them")
        config = AioConfig(
            connect_timeout=5,
            read_timeout=15,
            max_pool_connections=16,
            retries={"mode": "standard", "total_max_attempts": 4},
            s3={"addressing_style": bucket.addressing},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        self._client = await self._stack.enter_async_context(
            self._session.create_client(
                "s3",
                region_name=bucket.region,
                endpoint_url=bucket.endpoint,
                verify=bucket.ca_file,
                config=config,
            )
        )

    async def close(self) -> None:
        """Close the client."""
        await self._stack.aclose()

    async def credentials(self) -> Credentials:
        """The credentials to sign with now; temporary ones are renewed before they expire."""
        frozen = await self._credentials.get_frozen_credentials()
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token)

    async def stat(self, key: str) -> BlobStat:
        """Size of an object."""
        answer = await self._call(self._client.head_object(Bucket=self._bucket.name, Key=self._bucket.full(key)))
        return BlobStat(key, answer["ContentLength"])

    async def bring_back(self, key: str) -> None:
        """Ask for an archived object."""
        bucket = self._bucket
        wanted = {"Days": bucket.restore_days, "GlacierJobParameters": {"Tier": bucket.restore_tier}}
        try:
            await self._call(
                self._client.restore_object(Bucket=bucket.name, Key=bucket.full(key), RestoreRequest=wanted)
            )
        except Archived:
            return  # S3's answer for a storage class that needs no restoration
        except DependencyUnavailable as error:
            # 409: the restoration is under way.
            if isinstance(error.__cause__, ClientError) and _code_of(error.__cause__) == "RestoreAlreadyInProgress":
                return
            raise

    async def delete(self, key: str) -> None:
        """Remove an object."""
        await self._call(self._client.delete_object(Bucket=self._bucket.name, Key=self._bucket.full(key)))

    async def check(self) -> None:
        """Return if the bucket exists and we may use it."""
        try:
            await self._call(self._client.head_bucket(Bucket=self._bucket.name))
        except DependencyUnavailable:
            raise
        except Exception as error:  # HEAD has no body with an error code: a missing bucket is a plain 404
            raise DependencyUnavailable(DEPENDENCY, "the bucket is not there") from error

    async def make(self) -> None:
        """Create the bucket if it is missing."""
        try:
            await self.check()
        except DependencyUnavailable as error:
            if not isinstance(error.__cause__, NotFound):
                raise
            await self._call(self._client.create_bucket(Bucket=self._bucket.name))

    async def etag(self, key: str) -> tuple[int, str]:
        """Size and ETag of an object."""
        answer = await self._call(self._client.head_object(Bucket=self._bucket.name, Key=self._bucket.full(key)))
        return int(answer["ContentLength"]), str(answer.get("ETag", ""))

    async def list(self, prefix: str) -> AsyncIterator[BlobStat]:
        """All objects below a prefix, in the order of keys."""
        async for stat, _ in self.list_tagged(prefix):
            yield stat

    async def list_tagged(self, prefix: str) -> AsyncIterator[tuple[BlobStat, str]]:
        """All objects below a prefix, in the order of keys, each with its ETag."""
        ours = f"{self._bucket.prefix}/" if self._bucket.prefix else ""
        after = ""
        while True:
            more = {"StartAfter": after} if after else {}
            answer = await self._call(
                self._client.list_objects_v2(Bucket=self._bucket.name, Prefix=ours + prefix, MaxKeys=1000, **more)
            )
            contents = answer.get("Contents", ())
            for item in contents:
                yield BlobStat(item["Key"].removeprefix(ours), item["Size"]), str(item.get("ETag", ""))
            if not answer.get("IsTruncated") or not contents:
                return
            after = contents[-1]["Key"]

    async def begin(self, key: str) -> str:
        """Begin a multipart upload. Returns its id."""
        more: dict[str, str] = {}
        if self._bucket.encryption is not None:
            more["ServerSideEncryption"] = self._bucket.encryption
            if self._bucket.kms_key is not None:
                more["SSEKMSKeyId"] = self._bucket.kms_key
        answer = await self._call(
            self._client.create_multipart_upload(Bucket=self._bucket.name, Key=self._bucket.full(key), **more)
        )
        return str(answer["UploadId"])

    async def complete(self, key: str, upload: str, etags: Sequence[str]) -> None:
        """Complete a multipart upload."""
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
        await self._call(
            self._client.complete_multipart_upload(
                Bucket=self._bucket.name, Key=self._bucket.full(key), UploadId=upload, MultipartUpload={"Parts": parts}
            )
        )

    async def abandon(self, key: str, upload: str) -> None:
        """Abort a multipart upload and delete its parts."""
        await self._call(
            self._client.abort_multipart_upload(Bucket=self._bucket.name, Key=self._bucket.full(key), UploadId=upload)
        )

    async def unfinished(self, now_us: int) -> Sequence[tuple[str, str, float]]:
        """Multipart uploads that were begun and not ended: key, id, age in seconds."""
        ours = f"{self._bucket.prefix}/" if self._bucket.prefix else ""
        uploads: list[tuple[str, str, float]] = []
        marker: dict[str, str] = {}
        now = datetime.fromtimestamp(now_us / 1e6, UTC)
        while True:
            answer = await self._call(
                self._client.list_multipart_uploads(Bucket=self._bucket.name, Prefix=ours, **marker)
            )
            for item in answer.get("Uploads", ()):
                age = (now - item["Initiated"]).total_seconds()
                uploads.append((item["Key"].removeprefix(ours), item["UploadId"], age))
            if not answer.get("IsTruncated"):
                return uploads
            marker = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}

    async def _call(self, call: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._bucket.deadline):
                return await call
        except ClientError as error:
            answer = error.response
            status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            raise translated(S3Refusal(status, str(answer.get("Error", {}).get("Code", "")))) from error
        except TimeoutError as error:
            raise DependencyUnavailable(DEPENDENCY, f"no answer within {self._bucket.deadline:g} s") from error
        except (BotoCoreError, OSError) as error:
            raise DependencyUnavailable(DEPENDENCY, type(error).__name__) from error


def _code_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
