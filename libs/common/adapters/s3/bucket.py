"""Where the bucket is and how to speak to it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote, urlsplit

AWS = "https://s3.{region}.amazonaws.com"


@dataclass(frozen=True, slots=True)
class S3Bucket:
    """One bucket, or the part of one below `prefix`.

    Credentials that are not given come from where aiobotocore looks for them (environment, profile, container, web
    identity, instance role) and are renewed there. `create` makes the bucket where there is none. `deadline` (seconds)
    bounds each call, its retries included. An object of more than `part_size` bytes goes in parts, of which
    `parts_in_flight` are uploaded at once, and that times `part_size` is the memory it takes. `encryption` is what
    SSE-S3 and SSE-KMS call it in their headers.
    """

    name: str
    prefix: str = ""
    endpoint: str | None = None
    region: str = "us-east-1"
    addressing: Literal["path", "virtual"] = "path"
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    deadline: float = 30.0
    connections: int = 64
    part_size: int = 8 << 20
    parts_in_flight: int = 2
    encryption: Literal["AES256", "aws:kms"] | None = None
    kms_key: str | None = None
    create: bool = False
    tls: ssl.SSLContext | None = None
    ca_file: str | None = None

    @property
    def url(self) -> str:
        """The endpoint, without a path."""
        return (self.endpoint or AWS.format(region=self.region)).rstrip("/")

    @property
    def host(self) -> str:
        """What the Host header says."""
        netloc = urlsplit(self.url).netloc
        return f"{self.name}.{netloc}" if self.addressing == "virtual" else netloc

    @property
    def base(self) -> str:
        """The URL that paths are appended to."""
        return f"{urlsplit(self.url).scheme}://{self.host}"

    def full(self, key: str) -> str:
        """A key of ours as the bucket has it."""
        return f"{self.prefix}/{key}" if self.prefix else key

    def path(self, key: str) -> str:
        """The path of an object, as it is signed and sent."""
        path = quote(self.full(key), safe="/-_.~")
        return f"/{path}" if self.addressing == "virtual" else f"/{self.name}/{path}"

    def encryption_headers(self) -> dict[str, str]:
        """For PUT and for the beginning of a multipart upload."""
        if self.encryption is None:
            return {}
        headers: dict[str, str] = {"x-amz-server-side-encryption": self.encryption}
        if self.kms_key is not None:
            headers["x-amz-server-side-encryption-aws-kms-key-id"] = self.kms_key
        return headers
