"""Whole messages, from bytes to what they ask for."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.config.hl7_sections import Hl7ProfileSettings
from gantry.common.hl7.actions import Action, Nothing
from gantry.common.hl7.planning import ReceivedMessage, header_of, is_first_attempt, is_same_but_for_attempt, plan, read
from gantry.common.hl7.problems import ErrorCode, MessageRefused
from gantry.common.hl7.profiles import SenderProfile, profile_of
from gantry.common.orders import PlacedOrder
from tests.support.messages import message, order, patient, segment


def planned(raw: bytes, *profiles: SenderProfile) -> list[Action]:
    return plan(read(raw, profiles), profiles)


def test_each_kind_of_message_has_its_own_reader() -> None:
    assert isinstance(planned(order())[0], PlacedOrder)
    assert isinstance(planned(patient("A01"))[0], Nothing)
    with pytest.raises(MessageRefused, match="names no order"):
        planned(message("SIU^S12", segment("SCH", {1: "1"})))


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (message("MFN^M02"), ErrorCode.UNSUPPORTED_MESSAGE_TYPE),
        (message("ORM^O02"), ErrorCode.UNSUPPORTED_EVENT),
        (message("ADT^A99"), ErrorCode.UNSUPPORTED_EVENT),
        (message("ORU^R03"), ErrorCode.UNSUPPORTED_EVENT),
        (message("MDM^T02"), ErrorCode.UNSUPPORTED_MESSAGE_TYPE),
        (message("ADT"), ErrorCode.UNSUPPORTED_EVENT),
        (order(extra={11: "T"}), ErrorCode.UNSUPPORTED_PROCESSING_ID),
        (order(extra={11: ""}), ErrorCode.UNSUPPORTED_PROCESSING_ID),
        (order(extra={12: "3.0"}), ErrorCode.UNSUPPORTED_VERSION),
        (order(control_id=""), ErrorCode.REQUIRED_FIELD_MISSING),
        (order(control_id="1" * 200), ErrorCode.DATA_TYPE),
        (order(control_id="1\\.br\\2"), ErrorCode.DATA_TYPE),
    ],
)
def test_what_is_not_taken_is_rejected_by_its_header(raw: bytes, code: ErrorCode) -> None:
    with pytest.raises(MessageRefused) as refused:
        planned(raw)
    assert refused.value.rejected
    assert refused.value.problems[0].code is code
    assert refused.value.problems[0].spot.segment == "MSH"


def test_test_messages_are_taken_where_the_profile_says_so() -> None:
    profile = profile_of(Hl7ProfileSettings(sender="RIS", processing=("P", "T"), charset="8859/1"))
    assert planned(order(extra={11: "T"}), profile)
    latin = order(extra={18: ""}).decode().encode("latin-1")
    assert planned(latin, profile)
    with pytest.raises(MessageRefused, match="MSH-18"):
        planned(latin)


def test_the_same_bytes_ask_for_the_same_change_until_they_are_refused() -> None:
    first, again, other = read(order(), []), read(order(), []), read(order(obr={18: "A2"}), [])
    assert first.change == again.change
    assert first.digest != other.digest
    assert first.change != other.change
    second = ReceivedMessage(first.message, first.raw, 12).change
    assert second != first.change
    assert is_same_but_for_attempt(f"{first.change}-1", f"{second}-1")
    assert not is_same_but_for_attempt(f"{first.change}-1", f"{second}-2")
    assert not is_same_but_for_attempt(first.change, other.change)
    assert is_first_attempt(f"{first.change}-1")
    assert not is_first_attempt(f"{second}-1")
    assert is_first_attempt("of another source")


def test_the_header_of_a_message_that_cannot_be_read_is_there_for_its_answer() -> None:
    header = header_of(b"MSH|^~\\&|R\xff|H||||" + b"|ADT^A08|7|P|2.5\rPID|\xff\r")
    assert header is not None
    assert header.control_id == "7"
    assert header_of(b"") is None


def test_what_a_sender_puts_before_a_message_by_mistake_is_passed_over() -> None:
    for before in (b"\r\n", b"\xef\xbb\xbf", b"\0 "):
        assert isinstance(planned(before + order())[0], PlacedOrder)
    assert isinstance(planned(order().replace(b"\r", b"\n"))[0], PlacedOrder)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_refused(raw: bytes) -> None:
    for candidate in (raw, order() + raw, b"MSH|^~\\&|" + raw):
        with suppress(MessageRefused):
            assert planned(candidate)
