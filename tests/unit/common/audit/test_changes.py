"""Which events are on record, and as what."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from gantry.common.audit import SERIOUS_FAILURE, SUCCESS, AuditKind
from gantry.common.audit.changes import CHANGES, entry_of, overtaken, patient_in, requestor_kind
from gantry.common.audit.kinds import FAILURE
from gantry.common.dicom.encoding.part10 import parse_meta
from gantry.common.events import InstancesCommittedElsewhere, InstancesDeleted, PatientMerged, PeerRemoved, PeerSet
from gantry.common.ids import Receipt
from tests.compat.events import EVENTS
from tests.support.facts import stored
from tests.support.objects import data_set, file_bytes


@pytest.mark.parametrize("name", EVENTS)
def test_every_change_has_an_entry_and_nothing_else_has_one(name: str) -> None:
    event = EVENTS[name]
    assert (entry_of(event) is not None) == (type(event) in CHANGES)


def test_what_a_modality_stored_is_of_its_association_and_what_a_token_stored_is_not() -> None:
    event = replace(stored(1), calling_ae_title="CT1", called_ae_title="GANTRY", trace="t", peer_address="192.0.2.1")
    entry = entry_of(event)
    assert entry is not None
    assert (entry.kind, entry.operation, entry.requestor_is, entry.session) == (AuditKind.STORED, "C-STORE", "ae", "t")
    over_http = entry_of(replace(event, calling_ae_title="viewer", called_ae_title=""))
    assert over_http is not None
    assert (over_http.operation, over_http.requestor_is, over_http.session) == ("STOW-RS", "token", "")
    in_place = entry_of(replace(event, object_key=Receipt(event.receipt).reference_key("default")))
    assert in_place is not None
    assert (in_place.kind, in_place.operation) == (AuditKind.STORED, "import in place")


def test_a_header_says_whose_an_object_is() -> None:
    ds = data_set(patient="4711", IssuerOfPatientID="HOSPITAL")
    del ds.PixelData
    file = file_bytes(ds)
    meta = parse_meta(file)
    event = replace(
        stored(1), header=file[meta.data_set_offset :], transfer_syntax_uid=str(ds.file_meta.TransferSyntaxUID)
    )
    assert patient_in(event) == ("4711", "HOSPITAL")
    assert patient_in(replace(event, header=None)) == ("", "")


def test_deleted_instances_are_counted_and_a_rejection_is_told_from_a_deletion() -> None:
    event = EVENTS["InstancesDeleted.v1"]
    assert isinstance(event, InstancesDeleted)
    entry, rejected = entry_of(replace(event, kept=False, final=False)), entry_of(replace(event, kept=True))
    assert entry is not None
    assert rejected is not None
    assert (entry.kind, entry.operation, rejected.operation) == (AuditKind.INSTANCES_DELETED, "delete", "reject")
    assert entry.objects[0].instances == len({receipt.sop_instance_uid for receipt in event.receipts})


def test_a_merge_is_about_both_patients() -> None:
    event = EVENTS["PatientMerged.v1"]
    assert isinstance(event, PatientMerged)
    entry = entry_of(event)
    assert entry is not None
    assert [row.patient_key for row in entry.objects] == [event.patient, event.into]


def test_link_is_named_where_it_is_made_and_revoked_and_its_visitor_is_no_token() -> None:
    made, revoked = EVENTS["ShareCreated.v1"], EVENTS["ShareRevoked.v1"]
    first, last = entry_of(made), entry_of(revoked)
    assert first is not None
    assert last is not None
    assert (first.kind, first.operation) == (AuditKind.PROTECTION, "make share link 0123456789abcdef")
    assert [row.study_instance_uid for row in first.objects] == ["1.2.3", "1.2.4"]
    assert (last.operation, last.why) == ("revoke share link 0123456789abcdef", "sent to the wrong address")
    assert requestor_kind("share link 0123456789abcdef") == "share link"
    copies = entry_of(EVENTS["ShareCreated-copies.v1"])
    assert copies is not None
    assert (first.deidentified_by, copies.deidentified_by) == ("", "teaching")
    # Who searches for a study finds the links to copies of it.
    assert [row.study_instance_uid for row in copies.objects] == ["1.2.3", "1.2.4"]


def test_a_rule_of_the_archive_is_no_person() -> None:
    kinds = [requestor_kind(name) for name in ("loopback", "viewer", "", "retention rule minors")]
    assert kinds == ["this machine", "token", "", "archive"]


def test_who_committed_a_study_elsewhere_is_on_record_and_what_it_did_not_commit_too() -> None:
    event = EVENTS["InstancesCommittedElsewhere.v1"]
    assert isinstance(event, InstancesCommittedElsewhere)
    entry, whole = entry_of(event), entry_of(replace(event, failures=()))
    assert entry is not None
    assert whole is not None
    assert (entry.operation, entry.requestor, entry.requestor_is) == ("storage commitment", "DEEP", "ae")
    assert (entry.outcome, entry.why) == (SERIOUS_FAILURE, "1 instances are not committed")
    assert (whole.outcome, whole.why, whole.objects[0].instances) == (SUCCESS, "", 1)


def test_subscription_is_on_record_with_who_made_it_and_where_it_leads_to() -> None:
    made, changed, removed = (
        entry_of(EVENTS[f"Subscription{name}.v1"]) for name in ("Created", "StatusChanged", "Deleted")
    )
    assert made is not None
    assert changed is not None
    assert removed is not None
    assert (made.kind, made.operation) == (AuditKind.PROTECTION, "make subscription 0123456789abcdef")
    assert (made.requestor, made.peer_address) == ("ehr", "ehr.example")
    assert (changed.requestor, changed.operation) == ("archive", "change subscription 0123456789abcdef to error")
    assert "503" in changed.why
    assert (removed.requestor, removed.operation) == ("ehr", "remove subscription 0123456789abcdef")


def test_a_change_of_a_peer_names_it_who_did_it_and_each_field_before_and_after() -> None:
    set_, gone = EVENTS["PeerSet.v1"], EVENTS["PeerRemoved.v1"]
    assert isinstance(set_, PeerSet)
    assert isinstance(gone, PeerRemoved)
    changed, added, removed = entry_of(set_), entry_of(replace(set_, before="")), entry_of(gone)
    assert changed is not None
    assert added is not None
    assert removed is not None
    summary = [
        (entry.kind, entry.operation, entry.requestor, entry.requestor_is) for entry in (changed, added, removed)
    ]
    assert summary == [
        (AuditKind.POLICY, "change peer CT9", "ops", "token"),
        (AuditKind.POLICY, "add peer CT9", "ops", "token"),
        (AuditKind.POLICY, "remove peer CT9", "loopback", "this machine"),
    ]
    assert (changed.why, changed.outcome) == ("new scanner in room 9", SUCCESS)
    assert json.loads(changed.query) == {"may": [["store"], ["echo", "store"]]}
    assert json.loads(removed.query)["host"] == ["192.0.2.9", None]


def test_a_change_of_a_peer_that_came_too_late_is_on_record_as_one_that_failed() -> None:
    event = EVENTS["PeerSet.v1"]
    assert isinstance(event, PeerSet)
    entry = overtaken(event)
    assert (entry.operation, entry.outcome) == ("change peer CT9", FAILURE)
    assert "not taken" in entry.why
