"""Signature Version 4, against botocore's signer."""

from __future__ import annotations

import datetime
import hashlib
from unittest import mock
from urllib.parse import quote

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.adapters.s3.signing import EMPTY, Credentials, query_string, signed

NOW_US = 1_763_990_415_000_000
WORDS = st.text("abcXYZ019-_.~ /+=&%äß", min_size=1, max_size=20)


def theirs(
    credentials: Credentials,
    region: str,
    method: str,
    path: str,
    query: dict[str, str],
    headers: dict[str, str],
    payload_sha256: str,
) -> str:
    """botocore's Authorization header."""
    rest = {name: value for name, value in headers.items() if name != "host"}
    url = f"http://{headers['host']}{path}" + (f"?{query_string(query)}" if query else "")
    request = AWSRequest(method=method, url=url, headers={**rest, "X-Amz-Content-SHA256": payload_sha256})
    request.context["payload_signing_enabled"] = True
    signer = S3SigV4Auth(
        BotoCredentials(credentials.access_key, credentials.secret_key, credentials.token), "s3", region
    )
    moment = datetime.datetime.fromtimestamp(NOW_US / 1e6, datetime.UTC)
    with (
        mock.patch.object(S3SigV4Auth, "payload", return_value=payload_sha256),
        mock.patch("botocore.auth.get_current_datetime", return_value=moment.replace(tzinfo=None)),
    ):
        signer.add_auth(request)
    return str(request.headers["Authorization"])


@given(
    st.sampled_from(["GET", "PUT", "POST"]),
    st.lists(WORDS, min_size=1, max_size=3),
    st.dictionaries(st.sampled_from(["partNumber", "uploadId", "uploads", "prefix"]), WORDS | st.just(""), max_size=3),
    st.sampled_from([None, "token/with+signs=="]),
    st.binary(max_size=50),
)
def test_the_signature_is_the_one_that_botocore_makes(
    method: str, segments: list[str], query: dict[str, str], token: str | None, payload: bytes
) -> None:
    credentials = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", token)
    path = quote("/bucket/" + "/".join(segments).strip("/").replace("//", "/"), safe="/-_.~")
    headers = {"host": "127.0.0.1:7070", "content-type": "application/dicom"}
    digest = hashlib.sha256(payload).hexdigest()
    ours = signed(credentials, "eu-central-1", NOW_US, method, path, query, headers, digest)
    assert ours["authorization"] == theirs(credentials, "eu-central-1", method, path, query, headers, digest)


def test_the_hash_of_nothing_is_what_it_says() -> None:
    assert hashlib.sha256().hexdigest() == EMPTY


def test_secrets_do_not_show() -> None:
    assert "wJalr" not in repr(Credentials("AKID", "wJalr", "tok3n"))
    assert "tok3n" not in repr(Credentials("AKID", "wJalr", "tok3n"))
