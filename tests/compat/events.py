"""Golden files: one event of every class in every schema version that was ever written, with fixed values.

    python -m tests.compat.events      writes golden files that are missing; what is there is never written again

Who adds a field with a default leaves `EVENTS` as it is: the new field then shows in what the encoder writes, and the
next version's golden files are made beside these. Who must change a file here has broken every log in the field.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from gantry.common.dicom.scan.layout import BulkElement, PixelData
from gantry.common.events import (
    AssociationEnded,
    AssociationRefused,
    AuditedInstances,
    AuditRecorded,
    CommitmentFailure,
    CommitmentReference,
    CommitmentReported,
    CommitmentRequested,
    DeadLetter,
    DeadLetterDiscarded,
    DeadLetterReplayed,
    Event,
    HoldPlaced,
    HoldReleased,
    InstanceConflictFound,
    InstancesDeleted,
    InstancesMoved,
    InstancesMovedBack,
    InstancesRestored,
    InstanceStored,
    MessageAnswered,
    MessageDiscarded,
    MessageQuarantined,
    NamesakeFound,
    ObjectLost,
    ObjectsCollected,
    ObjectsRelocated,
    OrderCancelled,
    OrderChanged,
    OrderPlaced,
    PatientCorrected,
    PatientCorrectionsErased,
    PatientCorrectionWithdrawn,
    PatientHoldPlaced,
    PatientHoldReleased,
    PatientMerged,
    ProcedureStepCreated,
    ProcedureStepSet,
    ProcessReported,
    ReceiptReference,
    RequestAnswers,
    RouteDelayed,
    RouteEnded,
    RouteRequested,
    StoreSpace,
    StudyAccessed,
    StudyCompleted,
    StudyCorrected,
    StudyCorrectionsErased,
    StudyCorrectionWithdrawn,
    StudyDelivered,
    StudyLinked,
    StudyUnlinked,
    encode,
)
from gantry.common.lifecycle import Coercion

GOLDEN = Path(__file__).parent / "golden"

_STORED = InstanceStored(
    partition="default",
    trace="00112233445566778899aabbccddeeff",
    receipt="018f00000000aaaaaaaaaaaaaaaaaaaa",
    stored_at=1_700_000_000_123_456,
    study_instance_uid="1.2.840.1",
    series_instance_uid="1.2.840.1.2",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
    sop_instance_uid="1.2.840.1.2.3",
    transfer_syntax_uid="1.2.840.10008.1.2.4.90",
    object_key="objects/default/01/018f00000000aaaaaaaaaaaaaaaaaaaa.dcm",
    object_size=525_312,
    data_set_offset=340,
    data_set_length=524_972,
    digest="blake3:" + "0123456789abcdef" * 4,
    header=b"\x08\x00\x16\x00UI\x1a\x001.2.840.10008.5.1.4.1.1.2\x00",
    header_length=1234,
    bulk=(BulkElement(0x00420011, "OB", 900, 70_000), BulkElement(0x00091010, "UN", 71_000, 2048)),
    pixel_data=PixelData(0x7FE00010, "OB", 73_060, None, (4, 1000, 2**32 - 2)),
    calling_ae_title="CT1",
    called_ae_title="GANTRY",
    peer_address="10.1.2.3",
)
_BARE = InstanceStored(
    partition="p",
    trace="",
    receipt="018f00000000bbbbbbbbbbbbbbbbbbbb",
    stored_at=0,
    study_instance_uid="1.2",
    series_instance_uid="1.3",
    sop_class_uid="1.4",
    sop_instance_uid="1.5",
    transfer_syntax_uid="1.2.840.10008.1.2",
    object_key="k",
    object_size=16 << 30,
    data_set_offset=0,
    data_set_length=16 << 30,
    digest="blake3:",
    header=None,
    header_length=5_000_000,
    pixel_data=PixelData(0x7FE00010, "OW", 5_000_012, 8 << 30),
)
_COERCED = replace(
    _STORED,
    header=None,
    coercion=Coercion(
        1_700_000_000_123_000, ("issuer of north",), {"00100021": {"vr": "LO", "Value": ["NORTH"]}}, {0x00100021: ["S"]}
    ).pack(),
)
_CONFLICT = InstanceConflictFound(
    partition="default",
    trace="00112233445566778899aabbccddeeff",
    study_instance_uid="1.2.840.1",
    sop_instance_uid="1.2.840.1.2.3",
    kept_receipt="018f00000000aaaaaaaaaaaaaaaaaaaa",
    kept_digest="blake3:aa",
    aside_receipt="018f00000000bbbbbbbbbbbbbbbbbbbb",
    aside_digest="blake3:bb",
    found_at=1_700_000_000_654_321,
    calling_ae_title="CT1",
)
_REQUESTED = CommitmentRequested(
    partition="default",
    trace="00112233445566778899aabbccddeeff",
    transaction_uid="2.25.1",
    requested_at=1_700_000_001_000_000,
    calling_ae_title="CT1",
    called_ae_title="GANTRY",
    peer_address="fe80::1",
    references=(CommitmentReference("1.4", "1.5"), CommitmentReference("1.4", "1.6")),
)
_REPORTED = CommitmentReported(
    partition="default",
    trace="00112233445566778899aabbccddeeff",
    transaction_uid="2.25.1",
    calling_ae_title="CT1",
    reported_at=1_700_000_002_000_000,
    delivered=True,
    failures=(CommitmentFailure("1.4", "1.6", 0x0112),),
)
_DEAD = DeadLetter(
    partition="default",
    trace="",
    group="indexer",
    topic="instances",
    offset=4711,
    reason="NotUnderstood: data set is cut off",
    failed_at=1_700_000_003_000_000,
    payload=b"\x93\xff\x00whatever it was",
)

_LOST = ObjectLost(
    partition="default",
    trace="00112233445566778899aabbccddeeff",
    study_instance_uid="1.2.840.1",
    series_instance_uid="1.2.840.1.2",
    sop_instance_uid="1.2.840.1.2.3",
    receipt="018f00000000aaaaaaaaaaaaaaaaaaaa",
    object_key="objects/default/01/018f00000000aaaaaaaaaaaaaaaaaaaa.dcm",
    reason="missing",
    found_by="retrieve",
    found_at=1_700_000_004_000_000,
)
_NAMESAKE = NamesakeFound(
    partition="default",
    trace="00112233445566778899aabbccddeeff",
    sop_instance_uid="1.2.840.1.2.3",
    study_instance_uid="1.2.840.1",
    series_instance_uid="1.2.840.1.2",
    receipt="018f00000000aaaaaaaaaaaaaaaaaaaa",
    digest="blake3:aa",
    other_study_instance_uid="1.2.840.9",
    other_series_instance_uid="1.2.840.9.2",
    other_receipt="018f00000000bbbbbbbbbbbbbbbbbbbb",
    other_digest="blake3:bb",
    found_at=1_700_000_000_654_321,
    calling_ae_title="CT1",
)

_OF_STUDY: dict[str, Any] = {
    "partition": "default",
    "trace": "00112233445566778899aabbccddeeff",
    "study_instance_uid": "1.2.840.1",
}
_OF_PATIENT: dict[str, Any] = {"partition": "default", "trace": "", "patient": "patient:0123456789abcdef"}
_WHY: dict[str, Any] = {"reason": "wrong patient", "by": "admin", "at": 1_700_000_005_000_000}
_RECEIPTS = (
    ReceiptReference("1.2.840.1.2", "1.2.840.1.2.3", "018f00000000aaaaaaaaaaaaaaaaaaaa"),
    ReceiptReference("1.2.840.1.2", "1.2.840.1.2.4", "018f00000000bbbbbbbbbbbbbbbbbbbb"),
)
_DELETION = "018f00000001aaaaaaaaaaaaaaaaaaaa"

_CORRECTION = "018f00000002aaaaaaaaaaaaaaaaaaaa"
_OF_PATIENT: dict[str, Any] = {
    "partition": "default",
    "trace": "00112233445566778899aabbccddeeff",
    "patient": "00112233445566778899aabbccddeeff00112233",
}

EVENTS: dict[str, Event] = {
    "StudyCorrected.v1": StudyCorrected(**_OF_STUDY, **_WHY, correction=_CORRECTION, series_instance_uid="1.2.840.1.2"),
    "StudyCorrectionWithdrawn.v1": StudyCorrectionWithdrawn(**_OF_STUDY, **_WHY, correction=_CORRECTION),
    "StudyCorrectionsErased.v1": StudyCorrectionsErased(
        **_OF_STUDY, corrections=(_CORRECTION,), at=1_700_000_006_000_000
    ),
    "PatientCorrected.v1": PatientCorrected(**_OF_PATIENT, **_WHY, correction=_CORRECTION),
    "PatientMerged.v1": PatientMerged(
        **_OF_PATIENT, **_WHY, correction=_CORRECTION, into="ffeeddccbbaa99887766554433221100ffeeddcc", renamed=True
    ),
    "PatientCorrectionWithdrawn.v1": PatientCorrectionWithdrawn(**_OF_PATIENT, **_WHY, correction=_CORRECTION),
    "PatientCorrectionsErased.v1": PatientCorrectionsErased(
        **_OF_PATIENT, corrections=(_CORRECTION,), at=1_700_000_006_000_000
    ),
    "InstancesDeleted.v1": InstancesDeleted(**_OF_STUDY, **_WHY, deletion=_DELETION, receipts=_RECEIPTS, final=True),
    "InstancesDeleted-coded.v1": InstancesDeleted(
        **_OF_STUDY, **_WHY, deletion=_DELETION, receipts=_RECEIPTS, kept=True, code="113001"
    ),
    "InstancesRestored.v1": InstancesRestored(**_OF_STUDY, **_WHY, deletions=(_DELETION,), receipts=_RECEIPTS),
    "InstancesMoved.v1": InstancesMoved(
        **_OF_STUDY, **_WHY, move=_CORRECTION, receipts=_RECEIPTS, into_study="1.2.840.7", into_series="1.2.840.7.1"
    ),
    "InstancesMovedBack.v1": InstancesMovedBack(
        **_OF_STUDY, **_WHY, move=_CORRECTION, receipts=_RECEIPTS, into_study="1.2.840.7", into_series="1.2.840.7.1"
    ),
    "ObjectsCollected.v1": ObjectsCollected(
        **_OF_STUDY, receipts=_RECEIPTS, digests=("blake3:aa", ""), at=1_700_000_006_000_000
    ),
    "ObjectsRelocated.v1": ObjectsRelocated(**_OF_STUDY, receipts=_RECEIPTS, store="cold", at=1_700_000_006_500_000),
    "HoldPlaced.v1": HoldPlaced(**_OF_STUDY, **_WHY, hold="trial-42"),
    "HoldReleased.v1": HoldReleased(**_OF_STUDY, **_WHY, hold="trial-42"),
    "PatientHoldPlaced.v1": PatientHoldPlaced(**_OF_PATIENT, **_WHY, hold="trial-43"),
    "PatientHoldReleased.v1": PatientHoldReleased(**_OF_PATIENT, **_WHY, hold="trial-43"),
    "StudyAccessed.v1": StudyAccessed(**_OF_STUDY, at=1_700_000_007_000_000),
    "StudyCompleted.v1": StudyCompleted(
        **_OF_STUDY,
        reason="quiet",
        added=2,
        instances=3,
        first_receipt="018bcfe4" * 4,
        last_receipt="018bcfe5" * 4,
        at=1_700_000_007_500_000,
        senders=("CT1", "CT2"),
    ),
    "RouteRequested.v1": RouteRequested(
        **_OF_STUDY,
        route="a1" * 16,
        rule="to the reading room",
        destination="READING",
        first_receipt="018bcfe4" * 4,
        last_receipt="018bcfe5" * 4,
        at=1_700_000_007_600_000,
        by="anna",
        kind="availability",
    ),
    "RouteDelayed.v1": RouteDelayed(
        **_OF_STUDY,
        route="a1" * 16,
        attempts=2,
        why="READING: no connection",
        at=1_700_000_007_700_000,
        again=1_700_000_037_700_000,
    ),
    "RouteEnded.v1": RouteEnded(
        **_OF_STUDY,
        route="a1" * 16,
        outcome="failed",
        completed=2,
        failed=1,
        why="READING: refused",
        at=1_700_000_007_800_000,
        by="anna",
    ),
    "InstanceStored.v1": _STORED,
    "InstanceStored-claim-check.v1": _BARE,
    "InstanceConflictFound.v1": _CONFLICT,
    "ObjectLost.v1": _LOST,
    "NamesakeFound.v1": _NAMESAKE,
    "CommitmentRequested.v1": _REQUESTED,
    "CommitmentReported.v1": _REPORTED,
    "DeadLetter.v1": _DEAD,
    "DeadLetterReplayed.v1": DeadLetterReplayed(
        "default", "", "indexer", "0123456789ab", "admin", 1_700_000_007_000_000
    ),
    "DeadLetterDiscarded.v1": DeadLetterDiscarded(
        "default", "", "indexer", "0123456789ab", "sent again since", "admin", 1_700_000_007_000_000
    ),
    "StudyDelivered.v1": StudyDelivered(
        "default",
        "00112233445566778899aabbccddeeff",
        "1.2.840.1",
        "WS1",
        "VIEWER1",
        "10.1.2.3",
        "C-MOVE",
        118,
        2,
        "VIEWER1: association rejected",
        1_700_000_009_000_000,
        1,
    ),
    "AssociationEnded.v1": AssociationEnded(
        partition="default",
        trace="00112233445566778899aabbccddeeff",
        role="ingest",
        calling_ae_title="CT1",
        called_ae_title="GANTRY",
        peer_address="10.1.2.3",
        tls=True,
        opened_at=1_700_000_008_000_000,
        ended_at=1_700_000_009_000_000,
        outcome="aborted by peer",
        bytes_in=1 << 33,
        bytes_out=4711,
        answers=(RequestAnswers("C-STORE", 0, 12), RequestAnswers("C-STORE", 0xA700, 2, "object store unavailable")),
        times=1,
    ),
    "ProcessReported.v1": ProcessReported(
        partition="default",
        trace="",
        process="pacs1:4711",
        host="pacs1",
        roles=("ingest", "query"),
        version="0.2.0",
        started_at=1_700_000_008_000_000,
        at=1_700_000_009_000_000,
        problems=("index: away",),
        associations=3,
        transfers=1,
        spaces=(StoreSpace("objects", 1 << 40, 1 << 42),),
        ended=True,
    ),
    "InstanceStored-coerced.v1": _COERCED,
    "AssociationRefused.v1": AssociationRefused(
        partition="default",
        trace="",
        role="all",
        calling_ae_title="STRANGER",
        called_ae_title="GANTRY",
        peer_address="fe80::1",
        result=1,
        source=1,
        diagnostic=3,
        why="calling AE title not recognised",
        at=1_700_000_010_000_000,
        times=17,
    ),
    "MessageAnswered.v1": MessageAnswered(
        partition="default",
        trace="4bf92f3577b34da6a3ce929d0e0e4736",
        source="RIS^HOSPITAL",
        control_id="MSG00001",
        digest="9d3a1e2f4b5c6d7e8f90a1b2c3d4e5f60718293a",
        kind="ORM^O01",
        reply=b"\x0bMSH|^~\\&|GANTRY|HOSPITAL|RIS|HOSPITAL|20231114221320||ACK^O01|1|P|2.3\rMSA|AA|MSG00001|\r\x1c\r",
        at=1_700_000_020_000_000,
    ),
    "MessageQuarantined.v1": MessageQuarantined(
        partition="default",
        trace="",
        source="RIS^HOSPITAL",
        control_id="MSG00002",
        digest="0" * 40,
        kind="ADT^A40",
        text=b"MSH|^~\\&|RIS|HOSPITAL|GANTRY|HOSPITAL|20231114||ADT^A40|MSG00002|P|2.5\rPID|||P1^^^X\r",
        problems=("MRG: MRG is needed behind its PID",),
        at=1_700_000_021_000_000,
    ),
    "MessageDiscarded.v1": MessageDiscarded(
        partition="default",
        trace="",
        source="RIS^HOSPITAL",
        control_id="MSG00002",
        digest="0" * 40,
        reason="sent by a test system",
        by="ann",
        at=1_700_000_022_000_000,
    ),
    "OrderPlaced.v1": OrderPlaced(
        partition="default",
        trace="00112233445566778899aabbccddeeff",
        order="A123@HOSPITAL",
        change="018f0000000bcccccccccccccccccccc",
        source="hl7 RIS^HOSPITAL",
        message="MSG00001",
        at=1_700_000_011_000_000,
        attributes=b"\x81\xce\x00\x08\x00P\x91\xa4A123",
    ),
    "OrderChanged.v1": OrderChanged(
        partition="default",
        trace="00112233445566778899aabbccddeeff",
        order="A123@HOSPITAL",
        change="018f0000000bcccccccccccccccccccc",
        source="hl7 RIS^HOSPITAL",
        message="MSG00001",
        at=1_700_000_011_000_000,
        attributes=b"\x80",
        step_attributes=b"\x81\xa1S\xc0",
    ),
    "OrderCancelled.v1": OrderCancelled(
        partition="default",
        trace="00112233445566778899aabbccddeeff",
        order="A123@HOSPITAL",
        change="018f0000000bcccccccccccccccccccc",
        source="hl7 RIS^HOSPITAL",
        message="MSG00001",
        at=1_700_000_011_000_000,
        steps=("S1", "S2"),
        reason="patient did not come",
    ),
    "StudyLinked.v1": StudyLinked(
        partition="default",
        trace="00112233445566778899aabbccddeeff",
        order="A123@HOSPITAL",
        change="018f0000000bcccccccccccccccccccc",
        source="rest desk",
        message="",
        at=1_700_000_011_000_000,
        study_instance_uid="1.2.840.6",
        correction="018f0000000bdddddddddddddddddddd",
        reason="wrong worklist entry",
    ),
    "StudyUnlinked.v1": StudyUnlinked(
        partition="default",
        trace="00112233445566778899aabbccddeeff",
        order="A123@HOSPITAL",
        change="018f0000000beeeeeeeeeeeeeeeeeeee",
        source="rest desk",
        message="",
        at=1_700_000_012_000_000,
        study_instance_uid="1.2.840.6",
        reason="it was the right one",
    ),
    "ProcedureStepCreated.v1": ProcedureStepCreated(
        partition="default",
        trace="00112233445566778899aabbccddeeff",
        sop_instance_uid="1.2.840.5",
        change="018f0000000bcccccccccccccccccccc",
        source="ae CT1",
        message="",
        at=1_700_000_011_000_000,
        attributes=b"\x81\xce\x00@\x02R\x91\xabIN PROGRESS",
    ),
    "ProcedureStepSet.v1": ProcedureStepSet(
        partition="default",
        trace="00112233445566778899aabbccddeeff",
        sop_instance_uid="1.2.840.5",
        change="018f0000000bcccccccccccccccccccc",
        source="ae CT1",
        message="",
        at=1_700_000_011_000_000,
        attributes=b"\x81\xce\x00@\x02R\x91\xa9COMPLETED",
    ),
    "AuditRecorded.v1": AuditRecorded(
        partition="default",
        trace="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        record="0123456789abcdef0123456789abcdef",
        kind="sent",
        operation="C-MOVE",
        outcome=8,
        why="the destination did not answer",
        requestor="READING",
        requestor_is="ae",
        address="192.0.2.7",
        peer="ARCHIVE2",
        peer_address="192.0.2.8",
        role="retrieve",
        process="archive1:4711",
        begun_at=1_700_000_000_000_000,
        at=1_700_000_001_500_000,
        times=2,
        objects=(AuditedInstances("1.2.3", "4711", "HOSPITAL", "ab12", "1.2.840.10008.5.1.4.1.1.2", 3),),
        more=1,
        query=b"\x00\x01",
        query_class="1.2.840.10008.5.1.4.1.2.2.2",
    ),
}


def golden(name: str) -> Path:
    return GOLDEN / f"{name}.msgpack"


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for event_name, event in EVENTS.items():
        if not golden(event_name).exists():
            golden(event_name).write_bytes(encode(event))
            print(f"wrote {golden(event_name)}")
