"""What a refusal of an S3 server means (the codes are those of Amazon's API reference, and MinIO's own)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.adapters.s3.errors import S3Refusal, refusal, translated
from gantry.common.errors import DependencyUnavailable, NotFound

BODY = b"<?xml version='1.0'?><Error><Code>%s</Code><Message>objects/secret</Message><Key>objects/secret</Key></Error>"


@pytest.mark.parametrize(
    ("status", "code", "again"),
    [
        (500, "InternalError", True),
        (503, "SlowDown", True),
        (503, "", True),
        (429, "", True),
        (400, "RequestTimeout", True),
        (400, "BadDigest", True),
        (400, "XAmzContentSHA256Mismatch", True),
        (409, "OperationAborted", True),
        (403, "AccessDenied", False),
        (403, "SignatureDoesNotMatch", False),
        (404, "NoSuchKey", False),
        (404, "NoSuchBucket", False),
        (400, "InvalidArgument", False),
        (412, "PreconditionFailed", False),
    ],
)
def test_what_may_be_answered_differently_soon_is_passing(status: int, code: str, again: bool) -> None:
    assert refusal(status, BODY % code.encode()).passing is again


def test_the_code_is_read_from_the_body() -> None:
    read = refusal(403, BODY % b"AccessDenied")
    assert (read.status, read.code) == (403, "AccessDenied")
    assert str(read) == "403 AccessDenied"


@given(st.binary(max_size=100))
def test_a_body_of_a_proxy_has_no_code(body: bytes) -> None:
    assert refusal(502, b"<html>" + body.replace(b"<Code>", b"")).code == ""


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (404, "NoSuchKey", NotFound),
        (404, "", NotFound),  # a HEAD has no body
        (404, "NoSuchBucket", DependencyUnavailable),
        (403, "AccessDenied", DependencyUnavailable),
        (507, "XMinioStorageFull", DependencyUnavailable),
        (418, "Teapot", DependencyUnavailable),
    ],
)
def test_only_an_object_can_be_not_found(status: int, code: str, kind: type[Exception]) -> None:
    assert type(translated(S3Refusal(status, code))) is kind


@pytest.mark.parametrize("code", ["AccessDenied", "NoSuchKey", "NoSuchBucket", "InternalError", "Unheard"])
def test_no_key_is_in_the_message(code: str) -> None:
    """It may travel to a peer."""
    assert "secret" not in str(translated(refusal(404, BODY % code.encode())))


def test_what_can_be_mended_is_said_in_words() -> None:
    assert "credentials" in str(translated(S3Refusal(403, "AccessDenied")))
    assert "clock" in str(translated(S3Refusal(403, "RequestTimeTooSkewed")))
    assert "418 Teapot" in str(translated(S3Refusal(418, "Teapot")))
