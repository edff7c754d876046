"""The signature of a post, as a receiver makes it from the documentation."""

from __future__ import annotations

import hashlib
import hmac

from gantry.services.webhooks.signing import signature


def test_a_signature_is_an_hmac_over_time_and_body() -> None:
    expected = hmac.new(b"secret", b'1700000000.{"a":1}', hashlib.sha256).hexdigest()
    assert signature(b"secret", 1_700_000_000, b'{"a":1}') == f"t=1700000000,v1={expected}"


def test_another_secret_time_or_body_is_another_signature() -> None:
    arguments = [(b"s", 1, b"b"), (b"t", 1, b"b"), (b"s", 2, b"b"), (b"s", 1, b"c")]
    assert len({signature(*argument) for argument in arguments}) == len(arguments)
