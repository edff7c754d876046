"""`gantry.common.access.origin_proofs`: what a proof proves, and everything else it does not."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.access.origin_proofs import (
    PROOF_LENGTH,
    SKEW_US,
    Claim,
    OriginJudge,
    prove,
    request_claim,
)
from gantry.common.errors import OriginRefused

KEY, SUCCESSOR, STRANGER = b"k" * 64, b"s" * 64, b"x" * 64
NOW = 1_700_000_000_000_000
NONCE = bytes(range(16))
CLAIM = request_claim("GET", "/dicom-web/studies?limit=1", "192.0.2.7", "192.0.2.20:8082")


def refusal(proof: bytes, claim: bytes = CLAIM, now_us: int = NOW, judge: OriginJudge | None = None) -> str:
    """The kind of a refusal; "" if the proof counts."""
    try:
        (judge or OriginJudge()).judge([KEY, SUCCESSOR], Claim.REQUEST, claim, proof, now_us)
    except OriginRefused as refused:
        return refused.kind
    return ""


@pytest.mark.parametrize(("key", "kind"), [(KEY, ""), (SUCCESSOR, ""), (STRANGER, "forged")])
def test_each_key_in_force_proves_and_no_other(key: bytes, kind: str) -> None:
    assert refusal(prove(key, Claim.REQUEST, CLAIM, NOW, NONCE)) == kind


def test_the_form_is_fixed() -> None:
    stamp = b"\x01" + NOW.to_bytes(8, "big") + NONCE
    mac = hmac.new(KEY, b"gantry origin of a request\n" + stamp + CLAIM, hashlib.sha256).digest()
    assert prove(KEY, Claim.REQUEST, CLAIM, NOW, NONCE) == stamp + mac
    assert len(stamp + mac) == PROOF_LENGTH


@given(bit=st.integers(0, PROOF_LENGTH * 8 - 1))
def test_a_proof_with_any_bit_changed_is_forged(bit: int) -> None:
    proof = bytearray(prove(KEY, Claim.REQUEST, CLAIM, NOW, NONCE))
    proof[bit // 8] ^= 1 << bit % 8
    assert refusal(bytes(proof)) == "forged"


@pytest.mark.parametrize(
    "other",
    [
        request_claim("DELETE", "/dicom-web/studies?limit=1", "192.0.2.7", "192.0.2.20:8082"),
        request_claim("GET", "/dicom-web/studies?limit=2", "192.0.2.7", "192.0.2.20:8082"),
        request_claim("GET", "/dicom-web/studies?limit=1", "192.0.2.8", "192.0.2.20:8082"),
        request_claim("GET", "/dicom-web/studies?limit=1", "192.0.2.7", "192.0.2.21:8082"),
    ],
)
def test_a_proof_is_of_one_claim(other: bytes) -> None:
    assert refusal(prove(KEY, Claim.REQUEST, CLAIM, NOW, NONCE), claim=other) == "forged"


def test_a_proof_for_a_connection_proves_no_request() -> None:
    assert refusal(prove(KEY, Claim.CONNECTION, CLAIM, NOW, NONCE)) == "forged"


@pytest.mark.parametrize(
    ("after", "kind"),
    [(0, ""), (SKEW_US, ""), (-SKEW_US, ""), (SKEW_US + 1, "time"), (-SKEW_US - 1, "time"), (10**15, "time")],
)
def test_a_proof_counts_near_its_time(after: int, kind: str) -> None:
    assert refusal(prove(KEY, Claim.REQUEST, CLAIM, NOW, NONCE), now_us=NOW + after) == kind


def test_a_proof_counts_once_until_its_time_is_over() -> None:
    judge, proof = OriginJudge(), prove(KEY, Claim.REQUEST, CLAIM, NOW, NONCE)
    kinds = [refusal(proof, now_us=NOW + after, judge=judge) for after in (-SKEW_US, 0, SKEW_US, SKEW_US + 1)]
    assert kinds == ["", "replayed", "replayed", "time"]


def test_forgeries_fill_no_memory() -> None:
    judge = OriginJudge(remembered=1)
    for n in range(100):
        forged = prove(STRANGER, Claim.REQUEST, CLAIM, NOW, n.to_bytes(16, "big"))
        assert refusal(forged, judge=judge) == "forged"
    assert refusal(prove(KEY, Claim.REQUEST, CLAIM, NOW, NONCE), judge=judge) == ""


@pytest.mark.parametrize(("proof", "kind"), [(b"", "missing"), (b"\x01", "forged"), (bytes(57), "forged")])
def test_what_is_no_proof_is_refused(proof: bytes, kind: str) -> None:
    assert refusal(proof) == kind


@given(proof=st.binary(max_size=80))
def test_nothing_random_is_a_proof(proof: bytes) -> None:
    assert refusal(proof) in ("missing", "forged")
