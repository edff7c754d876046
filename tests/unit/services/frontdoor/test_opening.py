"""The first PDU of a connection (PS3.8 table 9-10, Sta2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.ul import AssociateReject, PduLimits
from gantry.services.frontdoor.opening import FirstPdu, called_as
from tests.support.wire import RELEASE_RQ, USER_ABORT, associate_rq, pdata, pdv, rq_bytes

RQ = rq_bytes()


def fed(*chunks: bytes) -> FirstPdu:
    first = FirstPdu(PduLimits())
    for chunk in chunks:
        first.feed(chunk)
    return first


@given(st.integers(0, len(RQ)))
def test_a_request_is_there_as_soon_as_it_is_whole_and_keeps_its_bytes(cut: int) -> None:
    first = fed(RQ[:cut])
    assert (first.request is not None) is (cut == len(RQ))
    assert not first.is_over
    assert first.has_begun is (cut > 0)
    first.feed(RQ[cut:])
    assert first.request == associate_rq()
    assert first.raw == RQ
    assert first.why == ""


def test_what_a_hasty_sender_puts_behind_its_request_is_kept() -> None:
    first = fed(RQ + b"\x04more")
    assert first.request is not None
    assert first.raw == RQ + b"\x04more"


@pytest.mark.parametrize(
    "data", [RELEASE_RQ, pdata(pdv(1, 3, b"x")), b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03"]
)
def test_what_begins_otherwise_is_over_and_answered_with_an_abort(data: bytes) -> None:
    """AA-1: A-ABORT, of the service user."""
    first = fed(data)
    assert first.is_over
    assert first.request is None
    assert f"{data[0]:#04x}" in first.why
    assert first.take_output()[0] == 7


def test_an_abort_is_over_without_an_answer() -> None:
    """AA-2: close the connection."""
    first = fed(USER_ABORT)
    assert first.is_over
    assert first.take_output() == b""


def test_nothing_yet_is_not_over() -> None:
    first = FirstPdu(PduLimits())
    assert not first.is_over
    assert not first.has_begun
    assert "nothing" in first.why


def test_a_rejection_is_sent_with_its_three_numbers() -> None:
    """PS3.8 9.3.4."""
    first = fed(RQ)
    first.reject(AssociateReject(2, 3, 2))
    assert first.take_output() == bytes((3, 0, 0, 0, 0, 4, 0, 2, 3, 2))
    assert first.is_over


def test_a_request_that_is_too_long_is_over_before_it_is_here() -> None:
    limits = PduLimits(max_associate_length=1000)
    first = FirstPdu(limits)
    first.feed(b"\x01\x00" + (1001).to_bytes(4, "big"))
    assert first.is_over


@given(st.lists(st.binary(max_size=40), max_size=4))
def test_no_bytes_raise(chunks: list[bytes]) -> None:
    fed(*chunks)


def test_openings_do_not_disturb_each_other() -> None:
    """They share a workspace."""
    first, other = FirstPdu(PduLimits()), FirstPdu(PduLimits())
    for at in range(0, len(RQ), 7):
        first.feed(RQ[at : at + 7])
        other.feed(RQ[at : at + 7])
    assert first.request == other.request == associate_rq()


def test_a_request_is_passed_on_with_another_called_title_and_is_the_same_else() -> None:
    passed_on = fed(called_as(RQ, "OLD"))
    assert passed_on.request == associate_rq(called_ae_title="OLD")
