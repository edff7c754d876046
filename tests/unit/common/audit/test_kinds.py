"""The kinds of audit records, against the codes of PS3.16."""

from __future__ import annotations

from gantry.common.audit.kinds import AuditKind, kind_of

CID_400 = {
    "110100": "Application Activity",
    "110101": "Audit Log Used",
    "110102": "Begin Transferring DICOM Instances",
    "110103": "DICOM Instances Accessed",
    "110104": "DICOM Instances Transferred",
    "110105": "DICOM Study Deleted",
    "110106": "Export",
    "110107": "Import",
    "110108": "Network Entry",
    "110109": "Order Record",
    "110110": "Patient Record",
    "110111": "Procedure Record",
    "110112": "Query",
    "110113": "Security Alert",
    "110114": "User Authentication",
}
CID_401 = range(110120, 110140)


def test_every_code_is_one_of_the_standard() -> None:
    assert {kind.event.value: kind.event.meaning for kind in AuditKind}.items() <= CID_400.items()
    assert all(int(kind.type.value) in CID_401 for kind in AuditKind if kind.type is not None)
    assert {kind.action for kind in AuditKind} <= set("CRUDE")


def test_a_name_on_the_log_means_one_kind_and_one_of_tomorrow_none() -> None:
    assert [kind_of(kind.word) for kind in AuditKind] == list(AuditKind)
    assert kind_of("of tomorrow") is None
