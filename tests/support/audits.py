"""Audit records for tests; the arguments are the values that matter to a test."""

from __future__ import annotations

from typing import Any

from gantry.common.audit import AuditKind
from gantry.common.events import AuditedInstances, AuditRecorded


def audit_record(kind: AuditKind = AuditKind.SENT, **more: Any) -> AuditRecorded:
    """The record of a study that CT1 retrieved by C-GET."""
    made: dict[str, Any] = {
        "partition": "default",
        "trace": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "record": "0123456789abcdef0123456789abcdef",
        "kind": kind.word,
        "operation": "C-GET",
        "outcome": 0,
        "why": "",
        "requestor": "CT1",
        "requestor_is": "ae",
        "address": "192.0.2.7",
        "peer": "CT1",
        "peer_address": "192.0.2.7",
        "role": "retrieve",
        "process": "archive1:4711",
        "begun_at": 1_700_000_000_000_000,
        "at": 1_700_000_001_500_000,
        "objects": (
            AuditedInstances("1.2.3", "4711", "HOSPITAL", "", "1.2.840.10008.5.1.4.1.1.2", 2),
            AuditedInstances("1.2.3", "4711", "HOSPITAL", "", "1.2.840.10008.5.1.4.1.1.4", 1),
        ),
    }
    return AuditRecorded(**{**made, **more})
