"""Command sets (PS3.7 6.3 and Annex E): a mapping of element numbers of group 0000 to values, decoded and encoded.

A command set is always Implicit VR Little Endian (PS3.7 6.3.1) and about ten small elements, so a flat scan does;
pydicom is its oracle in the tests. The group length is written, and never trusted.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from struct import Struct

Value = int | str | tuple[int, ...]

_HEADER = Struct("<HHI")
_unpack_header = _HEADER.unpack_from


class CommandError(Exception):
    """A command set that PS3.7 6.3 does not allow."""


class Element(IntEnum):
    """Element numbers in group 0000 (PS3.7 table E.1-1)."""

    AFFECTED_SOP_CLASS_UID = 0x0002
    REQUESTED_SOP_CLASS_UID = 0x0003
    COMMAND_FIELD = 0x0100
    MESSAGE_ID = 0x0110
    MESSAGE_ID_BEING_RESPONDED_TO = 0x0120
    MOVE_DESTINATION = 0x0600
    PRIORITY = 0x0700
    COMMAND_DATA_SET_TYPE = 0x0800
    STATUS = 0x0900
    OFFENDING_ELEMENT = 0x0901
    ERROR_COMMENT = 0x0902
    ERROR_ID = 0x0903
    AFFECTED_SOP_INSTANCE_UID = 0x1000
    REQUESTED_SOP_INSTANCE_UID = 0x1001
    EVENT_TYPE_ID = 0x1002
    ATTRIBUTE_IDENTIFIER_LIST = 0x1005
    ACTION_TYPE_ID = 0x1008
    REMAINING_SUB_OPERATIONS = 0x1020
    COMPLETED_SUB_OPERATIONS = 0x1021
    FAILED_SUB_OPERATIONS = 0x1022
    WARNING_SUB_OPERATIONS = 0x1023
    MOVE_ORIGINATOR_AE_TITLE = 0x1030
    MOVE_ORIGINATOR_MESSAGE_ID = 0x1031


class CommandField(IntEnum):
    """Command Field values (PS3.7 table E.1-1); a response has bit 15 set."""

    C_STORE_RQ = 0x0001
    C_GET_RQ = 0x0010
    C_FIND_RQ = 0x0020
    C_MOVE_RQ = 0x0021
    C_ECHO_RQ = 0x0030
    N_EVENT_REPORT_RQ = 0x0100
    N_GET_RQ = 0x0110
    N_SET_RQ = 0x0120
    N_ACTION_RQ = 0x0130
    N_CREATE_RQ = 0x0140
    N_DELETE_RQ = 0x0150
    C_CANCEL_RQ = 0x0FFF


def name_of(field: int) -> str:
    """What the standard calls a request by its command field, as C-STORE; "" for none of PS3.7."""
    try:
        return CommandField(field).name.removesuffix("_RQ").replace("_", "-")
    except ValueError:
        return ""


RESPONSE = 0x8000
NO_DATA_SET = 0x0101
_DATA_SET = 0x0001

_US = frozenset(
    {
        Element.COMMAND_FIELD,
        Element.MESSAGE_ID,
        Element.MESSAGE_ID_BEING_RESPONDED_TO,
        Element.PRIORITY,
        Element.COMMAND_DATA_SET_TYPE,
        Element.STATUS,
        Element.ERROR_ID,
        Element.EVENT_TYPE_ID,
        Element.ACTION_TYPE_ID,
        Element.REMAINING_SUB_OPERATIONS,
        Element.COMPLETED_SUB_OPERATIONS,
        Element.FAILED_SUB_OPERATIONS,
        Element.WARNING_SUB_OPERATIONS,
        Element.MOVE_ORIGINATOR_MESSAGE_ID,
    }
)
_AT = frozenset({Element.OFFENDING_ELEMENT, Element.ATTRIBUTE_IDENTIFIER_LIST})
_UI = frozenset(
    {
        Element.AFFECTED_SOP_CLASS_UID,
        Element.REQUESTED_SOP_CLASS_UID,
        Element.AFFECTED_SOP_INSTANCE_UID,
        Element.REQUESTED_SOP_INSTANCE_UID,
    }
)


class Command:
    """One command set. `elements` maps element numbers to int (US), str (UI, AE, LO; padding stripped) or a tuple of
    tags (AT). Properties return what nearly every service needs, with PS3.7's default if an element is missing."""

    __slots__ = ("elements",)

    def __init__(self, elements: Mapping[int, Value]) -> None:
        self.elements = dict(elements)

    def __repr__(self) -> str:
        return f"Command({self.field:#06x}, id {self.message_id}, status {self.status:#06x})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Command) and self.elements == other.elements

    __hash__ = None  # type: ignore[assignment]

    def number(self, element: Element, default: int = 0) -> int:
        """An unsigned short; `default` if missing."""
        value = self.elements.get(element, default)
        return value if isinstance(value, int) else default

    def text(self, element: Element) -> str:
        """A UID, AE title or text; "" if missing."""
        value = self.elements.get(element, "")
        return value if isinstance(value, str) else ""

    @property
    def comment(self) -> str:
        """Error Comment, for people: a peer's text must not move the cursor of a terminal, nor begin a line."""
        text = self.text(Element.ERROR_COMMENT)
        return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)

    @property
    def field(self) -> int:
        return self.number(Element.COMMAND_FIELD)

    @property
    def is_response(self) -> bool:
        return bool(self.field & RESPONSE)

    @property
    def message_id(self) -> int:
        return self.number(Element.MESSAGE_ID)

    @property
    def responds_to(self) -> int:
        return self.number(Element.MESSAGE_ID_BEING_RESPONDED_TO)

    @property
    def status(self) -> int:
        return self.number(Element.STATUS)

    @property
    def has_data_set(self) -> bool:
        return self.number(Element.COMMAND_DATA_SET_TYPE, NO_DATA_SET) != NO_DATA_SET

    @property
    def sop_class_uid(self) -> str:
        """Affected or requested SOP Class UID."""
        return self.text(Element.AFFECTED_SOP_CLASS_UID) or self.text(Element.REQUESTED_SOP_CLASS_UID)

    @property
    def sop_instance_uid(self) -> str:
        """Affected or requested SOP Instance UID."""
        return self.text(Element.AFFECTED_SOP_INSTANCE_UID) or self.text(Element.REQUESTED_SOP_INSTANCE_UID)

    def encode(self, *, data_set: bool = False) -> bytes:
        """The command set's bytes, in order of tags, with group length and Command Data Set Type."""
        elements: dict[int, Value] = {**self.elements, 0x0800: _DATA_SET if data_set else NO_DATA_SET}
        body = b"".join([_encode_element(number, elements[number]) for number in sorted(elements)])
        return b"\0\0\0\0\4\0\0\0" + len(body).to_bytes(4, "little") + body

    @staticmethod
    def decode(b: bytes | bytearray) -> Command:
        """A command set from bytes; raises `CommandError`."""
        elements: dict[int, Value] = {}
        pos, end = 0, len(b)
        while pos < end:
            if end - pos < 8:
                raise CommandError("truncated element in a command set")
            group, number, length = _unpack_header(b, pos)
            pos += 8
            if group or length > end - pos:
                raise CommandError(f"command element ({group:04X},{number:04X}) of length {length}")
            if number in _US:
                if length < 2:
                    raise CommandError(f"command element (0000,{number:04X}) without value")
                elements[number] = b[pos] | b[pos + 1] << 8
            elif number in _AT:
                elements[number] = _tags(b, pos, length)
            elif number:
                elements[number] = b[pos : pos + length].strip(b"\0 ").decode("ascii", "replace")
            pos += length
        if Element.COMMAND_FIELD not in elements:
            raise CommandError("command set without Command Field")
        return Command(elements)


def _tags(b: bytes | bytearray, pos: int, length: int) -> tuple[int, ...]:
    return tuple(
        int.from_bytes(b[i : i + 2], "little") << 16 | int.from_bytes(b[i + 2 : i + 4], "little")
        for i in range(pos, pos + length - length % 4, 4)
    )


def _encode_element(number: int, value: Value) -> bytes:
    if isinstance(value, int):
        return b"\0\0" + number.to_bytes(2, "little") + b"\2\0\0\0" + value.to_bytes(2, "little")
    if isinstance(value, tuple):
        raw = b"".join((tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little") for tag in value)
    else:
        raw = value.encode("ascii", "replace")
        if len(raw) & 1:
            raw += b"\0" if number in _UI else b" "
    return _HEADER.pack(0, number, len(raw)) + raw


def response_to(request: Command, status: int, extra: Mapping[int, Value] | None = None) -> Command:
    """The response to a request: its command field, message id and affected UIDs (PS3.7 9.3, 10.3)."""
    elements: dict[int, Value] = {
        Element.COMMAND_FIELD: request.field | RESPONSE,
        Element.MESSAGE_ID_BEING_RESPONDED_TO: request.message_id,
        Element.STATUS: status,
    }
    if request.sop_class_uid:
        elements[Element.AFFECTED_SOP_CLASS_UID] = request.sop_class_uid
    if request.sop_instance_uid:
        elements[Element.AFFECTED_SOP_INSTANCE_UID] = request.sop_instance_uid
    for echoed in (Element.ACTION_TYPE_ID, Element.EVENT_TYPE_ID):
        if echoed in request.elements:
            elements[echoed] = request.elements[echoed]
    if extra:
        elements.update(extra)
    if Element.ERROR_COMMENT in elements:
        # PS3.7 table C.1-1: VR LO, at most 64 characters.
        elements[Element.ERROR_COMMENT] = str(elements[Element.ERROR_COMMENT])[:64]
    return Command(elements)
