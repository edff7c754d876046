"""AWS Signature Version 4 of one request, in the Authorization header. Pure; botocore's signer is its oracle in tests.

The payload's SHA-256 is signed too, so that the server refuses bytes that changed in transit.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote

EMPTY = hashlib.sha256(b"").hexdigest()
"""The hash of an empty payload."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key; with `token` if it is temporary."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


def signed(
    credentials: Credentials,
    region: str,
    now_us: int,
    method: str,
    path: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    payload_sha256: str,
) -> dict[str, str]:
    """`headers` (with `host`, names in lower case) and what signing adds to them. `path` is encoded already."""
    moment = datetime.fromtimestamp(now_us / 1e6, UTC).strftime("%Y%m%dT%H%M%SZ")
    day = moment[:8]
    all_headers = {**headers, "x-amz-content-sha256": payload_sha256, "x-amz-date": moment}
    if credentials.token is not None:
        all_headers["x-amz-security-token"] = credentials.token
    names = sorted(all_headers)
    listed = ";".join(names)
    canonical = "\n".join(
        [
            method,
            path,
            query_string(query),
            *(f"{name}:{all_headers[name].strip()}" for name in names),
            "",
            listed,
            payload_sha256,
        ]
    )
    scope = f"{day}/{region}/s3/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.digest(_key(credentials.secret_key, day, region), to_sign.encode(), "sha256").hex()
    all_headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, SignedHeaders={listed}, Signature={signature}"
    )
    return all_headers


def query_string(query: Mapping[str, str]) -> str:
    """A query as it is signed and sent."""
    return "&".join(f"{quote(name, safe='-_.~')}={quote(query[name], safe='-_.~')}" for name in sorted(query))


@lru_cache(maxsize=16)
def _key(secret: str, day: str, region: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for step in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, step.encode(), "sha256")
    return key
