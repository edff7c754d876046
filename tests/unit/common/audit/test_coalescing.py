"""How many accesses become one record."""

from __future__ import annotations

from dataclasses import replace

from gantry.common.audit import AuditEntry, AuditKind, Coalescer
from gantry.common.audit.coalescing import LONGEST_SESSION_US, LONGEST_US, QUIET_US
from gantry.common.events import AuditedInstances

CT = "1.2.840.10008.5.1.4.1.1.2"
FRAME = AuditEntry(AuditKind.SENT, "GET frames", "viewer", "token", objects=(AuditedInstances("1.2.3", instances=1),))
STORED = AuditEntry(
    AuditKind.STORED,
    "C-STORE",
    "CT1",
    "ae",
    session="t",
    objects=(AuditedInstances("1.2.3", sop_class_uid=CT, instances=1),),
)


def test_a_thousand_frames_of_a_study_are_one_record_with_their_number() -> None:
    coalescer = Coalescer()
    made = [coalescer.add(FRAME, at, f"r{at}") for at in range(1000)]
    assert [new for _, new in made].count(True) == 1
    (group,) = coalescer.due(999 + QUIET_US)
    record = group.recorded("default", "retrieve", "host:1")
    assert (record.record, record.times, record.begun_at, record.at) == ("r0", 1000, 0, 999)
    assert record.objects == (AuditedInstances("1.2.3", instances=1000),)
    assert not len(coalescer)


def test_a_record_is_complete_when_nothing_came_for_a_while_and_after_a_minute_at_most() -> None:
    coalescer = Coalescer()
    coalescer.add(FRAME, 0, "a")
    assert not coalescer.due(QUIET_US - 1)
    for at in range(0, LONGEST_US, QUIET_US // 2):
        coalescer.add(FRAME, at, "b")
    assert coalescer.due(LONGEST_US)


def test_another_caller_study_patient_outcome_or_query_is_another_record() -> None:
    coalescer = Coalescer()
    others = [
        replace(FRAME, requestor="other"),
        replace(FRAME, outcome=4),
        replace(FRAME, objects=(AuditedInstances("1.2.4", instances=1),)),
        replace(FRAME, objects=(AuditedInstances("", "P1", "H"),)),
        replace(FRAME, objects=(AuditedInstances("", "P2", "H"),)),
        replace(FRAME, query=b"limit=1"),
        replace(FRAME, address="192.0.2.1"),
    ]
    assert all(coalescer.add(entry, 0, "r")[1] for entry in (FRAME, *others))


def test_what_came_over_an_association_is_complete_with_its_end() -> None:
    coalescer = Coalescer()
    coalescer.add(STORED, 0, "a")
    coalescer.add(replace(STORED, session="other"), 0, "b")
    assert not coalescer.due(LONGEST_US)
    (group,) = coalescer.end("t")
    assert group.record == "a"
    assert not coalescer.end("t")
    (rest,) = coalescer.due(LONGEST_SESSION_US)
    assert rest.record == "b"


def test_patients_that_are_found_later_stand_in_the_record() -> None:
    coalescer = Coalescer()
    group, _ = coalescer.add(STORED, 0, "a")
    assert group.nameless == ["1.2.3"]
    assert coalescer.nameless() == [group]
    group.patients["1.2.3"] = "4711", "HOSPITAL"
    assert not group.nameless
    (row,) = group.recorded("default", "ingest", "host:1").objects
    assert (row.patient_id, row.issuer, row.instances) == ("4711", "HOSPITAL", 1)


def test_what_a_record_names_is_bounded_and_the_rest_counted() -> None:
    coalescer = Coalescer()
    rows = tuple(AuditedInstances("1.2.3", sop_class_uid=f"1.{n}", instances=1) for n in range(150))
    group, _ = coalescer.add(replace(STORED, objects=rows, query=b"q" * 50_000, why="w" * 500), 0, "a")
    record = group.recorded("default", "ingest", "host:1")
    assert (len(record.objects), record.more) == (100, 50)
    assert (len(record.query), len(record.why)) == (16_384, 200)
