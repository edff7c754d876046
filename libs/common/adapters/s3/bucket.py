"""The address and the settings of the bucket."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote, urlsplit

from gantry.common.config.secret_files import Secret

AWS = "https://s3.{region}.amazonaws.com"


@dataclass(frozen=True, slots=True)
class S3Bucket:
    """One bucket, or the part of one below `prefix`.

    If no credentials are given, aiobotocore finds and renews them (environment, profile, container, web identity,
    instance role). `create` creates the bucket if it is missing. `deadline` (seconds) bounds each call, including its
    retries. An object of more than `part_size` bytes is sent in parts, `parts_in_flight` at once; the memory for it is
    the product of both. `encryption` is the header value of SSE-S3 or SSE-KMS. Objects restored from an archive stay
    readable for `restore_days`, and are restored at the speed of `restore_tier`.
    """

    name: str
    prefix: str = ""
    endpoint: str | None = None
    region: str = "us-east-1"
    addressing: Literal["path", "virtual"] = "path"
    access_key: str | None = None
    secret_key: Secret | None = field(default=None, repr=False)
    deadline: float = 30.0
    connections: int = 64
    part_size: int = 8 << 20
    parts_in_flight: int = 2
    encryption: Literal["AES256", "aws:kms"] | None = None
    kms_key: str | None = None
    create: bool = False
    restore_days: int = 3
    restore_tier: Literal["Standard", "Bulk", "Expedited"] = "Standard"
    tls: ssl.SSLContext | None = None
    ca_file: str | None = None

    @property
    def url(self) -> str:
        """The endpoint, without a path."""
        return (self.endpoint or AWS.format(region=self.region)).rstrip("/")

    @property
    def host(self) -> str:
        """The value of the Host header."""
        netloc = urlsplit(self.url).netloc
        return f"{self.name}.{netloc}" if self.addressing == "virtual" else netloc

    @property
    def base(self) -> str:
        """The URL to which paths are appended."""
        return f"{urlsplit(self.url).scheme}://{self.host}"

    def full(self, key: str) -> str:
        """A key with the bucket's prefix."""
        return f"{self.prefix}/{key}" if self.prefix else key

    def path(self, key: str) -> str:
        """The path of an object, as it is signed and sent."""
        path = quote(self.full(key), safe="/-_.~")
        return f"/{path}" if self.addressing == "virtual" else f"/{self.name}/{path}"

    def encryption_headers(self) -> dict[str, str]:
        """The headers for PUT and for the beginning of a multipart upload."""
        if self.encryption is None:
            return {}
        headers: dict[str, str] = {"x-amz-server-side-encryption": self.encryption}
        if self.kms_key is not None:
            headers["x-amz-server-side-encryption-aws-kms-key-id"] = self.kms_key
        return headers
