"""What was sent over DIMSE, as entries of the audit trail."""

from __future__ import annotations

from typing import Any

from gantry.common.audit import SERIOUS_FAILURE, SUCCESS, AuditEntry, AuditKind
from gantry.common.dicom.standard.sop_classes import STUDY_ROOT_FIND, STUDY_ROOT_MOVE
from gantry.common.ports.index import Location
from gantry.common.runtime.auditing.trail import PeerOf
from gantry.services.audited import audit_asking, audit_result, audit_sending

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"


class Heard:
    """What a trail is told."""

    def __init__(self, **peers: PeerOf) -> None:
        self.entries: list[AuditEntry] = []
        self.peers = peers

    def add(self, entry: AuditEntry) -> None:
        self.entries.append(entry)

    def peer_of(self, session: str) -> PeerOf | None:
        return self.peers.get(session)


def location(study: str, number: int, sop_class: str = CT) -> Location:
    return Location(study, f"{study}.1", f"{study}.1.{number}", sop_class, "1.2", f"key{number}", 0, 1, "d")


def sent(trail: Any, over: str, requestor: str, trace: str = "t") -> list[AuditEntry]:
    wanted = [(location("1.1", 1), True), (location("1.1", 2, MR), True), (location("1.1", 3), False)]
    wanted += [(location("1.2", 4), True)]
    audit_sending(trail, AuditKind.SENT, over, requestor, ("READING", "192.0.2.9"), wanted, trace, "no answer")
    return list(trail.entries)


def test_each_study_has_an_entry_and_what_did_not_arrive_another_one() -> None:
    entries = sent(Heard(t=PeerOf("WORKSTATION", "192.0.2.1", "GANTRY")), "C-MOVE", "WORKSTATION")
    said = [
        (e.outcome, e.why, [(r.study_instance_uid, r.sop_class_uid, r.instances) for r in e.objects]) for e in entries
    ]
    assert said == [
        (SUCCESS, "", [("1.1", CT, 1), ("1.1", MR, 1)]),
        (SERIOUS_FAILURE, "no answer", [("1.1", CT, 1)]),
        (SUCCESS, "", [("1.2", CT, 1)]),
    ]
    assert {(e.address, e.peer, e.peer_address, e.session) for e in entries} == {
        ("192.0.2.1", "READING", "192.0.2.9", "t")
    }


def test_what_a_rule_sends_is_asked_for_by_the_archive_and_waits_for_no_association() -> None:
    (first, *_) = sent(Heard(), "route chest", "", "")
    assert (first.requestor_is, first.address, first.session) == ("archive", "", "")


def test_what_a_move_left_is_asked_for_by_its_requestor_also_when_he_is_gone() -> None:
    (first, *_) = sent(Heard(), "finished C-MOVE", "WORKSTATION")
    assert (first.requestor, first.requestor_is, first.address, first.session) == ("WORKSTATION", "ae", "", "")


def test_what_another_archive_is_asked_is_a_query_of_ours_and_it_the_receiver() -> None:
    trail: Any = Heard()
    audit_asking(trail, ("OLD", "192.0.2.7"), "t", b"keys", "")
    audit_asking(trail, ("OLD", "192.0.2.7"), "t", b"keys", "it refused", STUDY_ROOT_MOVE)
    assert [(e.kind, e.operation, e.peer, e.peer_address, e.query_class, e.why) for e in trail.entries] == [
        (AuditKind.QUERY, "C-FIND", "OLD", "192.0.2.7", STUDY_ROOT_FIND, ""),
        (AuditKind.QUERY, "C-MOVE", "OLD", "192.0.2.7", STUDY_ROOT_MOVE, "it refused"),
    ]


def test_a_receiver_that_was_told_of_a_study_was_told_of_its_patient() -> None:
    heard = Heard()
    audit_result(heard, "1.2.3", ("P1", "HOSP"), ("RIS", "192.0.2.30"), "t", "")  # type: ignore[arg-type]
    audit_result(heard, "1.2.3", ("P1", "HOSP"), ("RIS", "192.0.2.30"), "t", "RIS answered AE")  # type: ignore[arg-type]
    taken, refused = heard.entries
    assert (taken.kind, taken.operation, taken.requestor_is) == (AuditKind.PROCEDURE_SENT, "HL7 ORU^R01", "archive")
    assert (taken.peer, taken.peer_address, taken.trace) == ("RIS", "192.0.2.30", "t")
    (about,) = taken.objects
    assert (about.study_instance_uid, about.patient_id, about.issuer) == ("1.2.3", "P1", "HOSP")
    assert [(one.outcome, one.why) for one in (taken, refused)] == [
        (SUCCESS, ""),
        (SERIOUS_FAILURE, "RIS answered AE"),
    ]
