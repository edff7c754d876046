"""Command sets against pydicom, and against bytes that are none."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from gantry.common.dimse import Command, CommandError, CommandField, Element, response_to

us = st.integers(0, 65535)
uids = st.from_regex(r"[1-9][0-9]{0,5}(\.[1-9][0-9]{0,5}){0,5}", fullmatch=True)
aes = st.from_regex(r"[A-Z][A-Z0-9_]{0,15}", fullmatch=True)
commands = st.fixed_dictionaries(
    {Element.COMMAND_FIELD: us},
    optional={
        Element.AFFECTED_SOP_CLASS_UID: uids,
        Element.MESSAGE_ID: us,
        Element.STATUS: us,
        Element.MOVE_DESTINATION: aes,
        Element.ERROR_COMMENT: aes,
        Element.AFFECTED_SOP_INSTANCE_UID: uids,
        Element.REMAINING_SUB_OPERATIONS: us,
        Element.OFFENDING_ELEMENT: st.lists(st.integers(0, 0xFFFFFFFF), min_size=1, max_size=4).map(tuple),
    },
).map(Command)


@given(commands, st.booleans())
def test_pydicom_reads_what_we_write(command: Command, data_set: bool) -> None:
    encoded = command.encode(data_set=data_set)
    ds = read_dataset(BytesIO(encoded), is_implicit_VR=True, is_little_endian=True)
    assert ds.CommandGroupLength == len(encoded) - 12
    assert ds.CommandField == command.field
    assert (ds.CommandDataSetType != 0x0101) is data_set
    assert ds.get("AffectedSOPClassUID", "") == command.text(Element.AFFECTED_SOP_CLASS_UID)
    assert ds.get("MoveDestination", "") == command.text(Element.MOVE_DESTINATION)


@given(commands)
def test_we_read_what_we_write(command: Command) -> None:
    decoded = Command.decode(command.encode())
    assert {k: v for k, v in decoded.elements.items() if k != Element.COMMAND_DATA_SET_TYPE} == command.elements


def test_we_read_what_pydicom_writes() -> None:
    ds = Dataset()
    ds.AffectedSOPClassUID, ds.CommandField, ds.MessageID, ds.MoveDestination = (
        "1.2.840.10008.1.1",
        0x30,
        7,
        "SOMEWHERE",
    )
    ds.CommandDataSetType = 0x0101
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, True
    write_dataset(out, ds)
    command = Command.decode(out.getvalue())
    assert (command.field, command.message_id, command.sop_class_uid) == (0x30, 7, "1.2.840.10008.1.1")
    assert command.text(Element.MOVE_DESTINATION) == "SOMEWHERE"
    assert not command.has_data_set


@given(st.binary(max_size=200))
def test_bytes_that_are_no_command_set_are_a_command_error(data: bytes) -> None:
    try:
        Command.decode(data)
    except CommandError:
        pass


def test_group_length_is_not_trusted() -> None:
    encoded = bytearray(Command({Element.COMMAND_FIELD: 0x30, Element.MESSAGE_ID: 3}).encode())
    encoded[8:12] = b"\xff\xff\xff\xff"
    assert Command.decode(encoded).message_id == 3


def test_a_command_set_without_command_field_is_none() -> None:
    with pytest.raises(CommandError, match="without Command Field"):
        Command.decode(b"\0\0\x10\1\2\0\0\0\1\0")


def test_a_response_carries_what_ps37_asks_for() -> None:
    request = Command(
        {
            Element.COMMAND_FIELD: int(CommandField.N_ACTION_RQ),
            Element.MESSAGE_ID: 9,
            Element.REQUESTED_SOP_CLASS_UID: "1.2",
            Element.REQUESTED_SOP_INSTANCE_UID: "1.3",
            Element.ACTION_TYPE_ID: 1,
        }
    )
    response = response_to(request, 0x0131, {Element.ERROR_COMMENT: "x" * 100})
    assert response.field == 0x8130
    assert response.responds_to == 9
    assert response.text(Element.AFFECTED_SOP_CLASS_UID) == "1.2"
    assert response.text(Element.AFFECTED_SOP_INSTANCE_UID) == "1.3"
    assert response.number(Element.ACTION_TYPE_ID) == 1
    assert len(response.text(Element.ERROR_COMMENT)) == 64


def test_a_comment_is_text_for_people_whatever_a_peer_puts_there() -> None:
    sent = Command({Element.COMMAND_FIELD: 0x8020, Element.ERROR_COMMENT: "\x1b]0;mine\x07no such\npatient"})
    assert Command.decode(sent.encode()).comment == "?]0;mine?no such?patient"
    assert Command({Element.COMMAND_FIELD: 0x8020}).comment == ""
