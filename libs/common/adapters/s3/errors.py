"""What an S3 server's refusals mean to a caller of the object store: decided in this one place."""

from __future__ import annotations

import re

from gantry.common.errors import Archived, DependencyUnavailable, GantryError, NotFound

DEPENDENCY = "object store"

_CODE = re.compile(rb"<Code>([A-Za-z0-9.]{1,64})</Code>")
# Damaged or too slow in transit to the server: the same request may succeed the next time.
_PASSING = frozenset(
    (
        "BadDigest",
        "InternalError",
        "OperationAborted",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
        "XAmzContentChecksumMismatch",
        "XAmzContentSHA256Mismatch",
    )
)
_IN_WORDS = {
    "AccessDenied": "access denied: check the credentials and the bucket's policy",
    "InvalidAccessKeyId": "the access key is not known",
    "SignatureDoesNotMatch": "the secret key is wrong, or the region is",
    "NoSuchBucket": "the bucket is not there",
    "RequestTimeTooSkewed": "our clock and the server's differ by more than it allows",
    "QuotaExceeded": "the bucket is full",
    "XMinioStorageFull": "the store is full",
}


class S3Refusal(Exception):
    """An error answer of the server."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"{status} {code}".rstrip())
        self.status = status
        self.code = code

    @property
    def passing(self) -> bool:
        """Whether the same request may be answered differently soon."""
        return self.status >= 500 or self.status == 429 or self.code in _PASSING


def refusal(status: int, body: bytes) -> S3Refusal:
    """The refusal in the body of an error answer."""
    match = _CODE.search(body)
    return S3Refusal(status, match[1].decode("ascii") if match else "")


def translated(error: S3Refusal) -> GantryError:
    """The refusal as a `GantryError`. It contains no key: the message may be sent to a peer."""
    if error.code == "InvalidObjectState":
        return Archived()
    if error.code in ("NoSuchKey", "NotFound", "404") or (error.status == 404 and error.code != "NoSuchBucket"):
        return NotFound("no such object")
    return DependencyUnavailable(DEPENDENCY, _IN_WORDS.get(error.code, f"the server answered {error}"))
