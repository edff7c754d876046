"""Audit records as syslog messages (RFC 5424) in frames (RFC 5425)."""

from __future__ import annotations

import re

from gantry.common.audit.syslog import framed, syslog_message
from tests.support.audit_schema import require_valid
from tests.support.audits import audit_record
from tests.support.syslog_receiver import frames

_MESSAGE = re.compile(
    rb"<([0-9]+)>1 (\S+) (\S+) gantry (\S+) DICOM\+RFC3881 - \xef\xbb\xbf(<AuditMessage.*</AuditMessage>)", re.DOTALL
)


def test_a_message_has_the_header_of_rfc_5424_and_an_audit_message() -> None:
    match = _MESSAGE.fullmatch(syslog_message(audit_record()))
    assert match is not None
    assert match.groups()[:4] == (b"85", b"2023-11-14T22:13:21.500000Z", b"archive1", b"4711")
    require_valid(match[5])


def test_what_failed_is_a_warning_and_a_host_without_a_name_is_nil() -> None:
    match = _MESSAGE.fullmatch(syslog_message(audit_record(outcome=8, process="")))
    assert match is not None
    assert match.groups()[0:1] + match.groups()[2:4] == (b"84", b"-", b"-")


def test_frames_say_their_length_in_bytes() -> None:
    messages = [syslog_message(audit_record(why=why)) for why in ("ä", "plain", "\u4e2d\u6587 1 2 3")]
    data = bytearray(b"".join(map(framed, messages)))
    assert frames(data) == messages
    assert not data


def test_a_message_is_one_line() -> None:
    assert b"\n" not in syslog_message(audit_record(why="a\nb", operation="c\r\nd"))
