"""Kinds of audit records: the messages of PS3.15 A.5.3 that an archive writes, with codes of PS3.16 CID 400 and 401."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

SUCCESS, FAILURE, SERIOUS_FAILURE, MAJOR_FAILURE = 0, 4, 8, 12
"""Event Outcome Indicator (PS3.15 A.5.2, RFC 3881 5.1.4): the archive works on after all of them but the last."""


@dataclass(frozen=True, slots=True)
class Code:
    """A code of the DICOM Controlled Terminology (PS3.16 Annex D), with its meaning."""

    value: str
    meaning: str


_ACTIVITY = Code("110100", "Application Activity")
_ACCESSED = Code("110103", "DICOM Instances Accessed")
_TRANSFERRED = Code("110104", "DICOM Instances Transferred")
_ALERT = Code("110113", "Security Alert")
_AUTHENTICATION = Code("110114", "User Authentication")


class AuditKind(Enum):
    """What happened: its name on the log, the Event ID, the Event Type Code, and the Event Action Code (C, R, U, D, E).
    A kind may be added; the name and meaning of one never change."""

    STARTED = ("started", _ACTIVITY, Code("110120", "Application Start"), "E")
    STOPPED = ("stopped", _ACTIVITY, Code("110121", "Application Stop"), "E")
    LOG_USED = ("log-used", Code("110101", "Audit Log Used"), None, "R")
    BEGIN_SENDING = ("begin-sending", Code("110102", "Begin Transferring DICOM Instances"), None, "E")
    SENT = ("sent", _TRANSFERRED, None, "R")
    STORED = ("stored", _TRANSFERRED, None, "C")
    ACCESSED = ("accessed", _ACCESSED, None, "R")
    UPDATED = ("updated", _ACCESSED, None, "U")
    INSTANCES_DELETED = ("instances-deleted", _ACCESSED, None, "D")
    STUDY_DELETED = ("study-deleted", Code("110105", "DICOM Study Deleted"), None, "D")
    ORDER = ("order", Code("110109", "Order Record"), None, "U")
    ORDER_READ = ("order-read", Code("110109", "Order Record"), None, "R")
    PATIENT = ("patient", Code("110110", "Patient Record"), None, "U")
    PROCEDURE = ("procedure", Code("110111", "Procedure Record"), None, "U")
    PROCEDURE_READ = ("procedure-read", Code("110111", "Procedure Record"), None, "R")
    PROCEDURE_SENT = ("procedure-sent", Code("110111", "Procedure Record"), None, "R")
    QUERY = ("query", Code("110112", "Query"), None, "E")
    NODE_REFUSED = ("node-refused", _ALERT, Code("110126", "Node Authentication"), "E")
    REFUSED = ("refused", _ALERT, Code("110132", "Use of Restricted Function"), "E")
    PROTECTION = ("protection", _ALERT, Code("110135", "Object Security Attributes Changed"), "E")
    OVERRIDE = ("override", _ALERT, Code("110127", "Emergency Override Started"), "E")
    POLICY = ("policy", _ALERT, Code("110129", "Security Configuration"), "E")
    LOGIN = ("login", _AUTHENTICATION, Code("110122", "Login"), "E")
    LOGOUT = ("logout", _AUTHENTICATION, Code("110123", "Logout"), "E")

    @property
    def word(self) -> str:
        """Its name on the log."""
        word: str = self.value[0]
        return word

    @property
    def event(self) -> Code:
        """Event ID (CID 400)."""
        code: Code = self.value[1]
        return code

    @property
    def type(self) -> Code | None:
        """Event Type Code (CID 401), where the message has one."""
        code: Code | None = self.value[2]
        return code

    @property
    def action(self) -> str:
        """Event Action Code."""
        action: str = self.value[3]
        return action


SENDS = frozenset((AuditKind.BEGIN_SENDING, AuditKind.SENT, AuditKind.PROCEDURE_SENT))
"""What goes to somebody else than who asked, where a record names one."""
PEER = "peer"
"""The class of a query that says which fields of a peer were changed, in an entry of `AuditKind.POLICY`."""
_BY_WORD = {kind.word: kind for kind in AuditKind}


def kind_of(word: str) -> AuditKind | None:
    """The kind of this name; None for one of a newer release."""
    return _BY_WORD.get(word)
