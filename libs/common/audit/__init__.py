"""Audit records: who accessed, changed, sent, asked for or was refused what, without I/O.

What belongs here: the kinds of records with their codes (PS3.15 A.5.3, PS3.16 CID 400 and 401), how many accesses
become one record, which events are changes that are on record, and a record as AuditMessage (PS3.15 A.5.1), as FHIR
AuditEvent (R4, IHE BALP) and as a syslog message (RFC 5424). What does not: reading or sending them.
"""

from gantry.common.audit.coalescing import AuditEntry, Coalescer, Group
from gantry.common.audit.kinds import FAILURE, MAJOR_FAILURE, SERIOUS_FAILURE, SUCCESS, AuditKind, Code

__all__ = [
    "FAILURE",
    "MAJOR_FAILURE",
    "SERIOUS_FAILURE",
    "SUCCESS",
    "AuditEntry",
    "AuditKind",
    "Coalescer",
    "Code",
    "Group",
]
