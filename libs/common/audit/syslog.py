"""An audit record as a syslog message (RFC 5424), framed for TLS (RFC 5425), as PS3.15 A.6 has it."""

from __future__ import annotations

from gantry.common.audit.kinds import SUCCESS
from gantry.common.audit.messages import audit_message, time_of
from gantry.common.events import AuditRecorded

_FACILITY = 10
"""Security and authorisation messages (RFC 5424 6.2.1), as PS3.15 A.6 asks for."""
_NOTICE, _WARNING = 5, 4
MESSAGE_ID = "DICOM+RFC3881"
"""MSGID, PS3.15 A.6."""
APPLICATION = "gantry"
_BOM = b"\xef\xbb\xbf"


def syslog_message(record: AuditRecorded) -> bytes:
    """One message. Warnings are records of what did not succeed, notices all others."""
    priority = _FACILITY * 8 + (_NOTICE if record.outcome == SUCCESS else _WARNING)
    host, _, process = record.process.partition(":")
    head = f"<{priority}>1 {time_of(record.at)} {_name(host, 255)} {APPLICATION} {_name(process, 128)} {MESSAGE_ID} - "
    # RFC 5424 6.4: a message in UTF-8 begins with the byte order mark.
    return head.encode("ascii") + _BOM + audit_message(record)


def framed(message: bytes) -> bytes:
    """RFC 5425 4.3: the length in bytes, a space, the message."""
    return b"%d %s" % (len(message), message)


def _name(text: str, longest: int) -> str:
    """PRINTUSASCII without spaces, or the nil value."""
    return "".join(c for c in text if "!" <= c <= "~")[:longest] or "-"
