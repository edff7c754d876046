"""What leads from an object to its order, and what is taken from it."""

from __future__ import annotations

from typing import Any

from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query, matcher
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.lifecycle.from_orders import FromOrder, OrderKey, OrderQuestion
from tests.support.orders import attributes, order, step

REQUEST = TAGS["RequestAttributesSequence"]


def taking(*keywords: str, by: tuple[OrderKey, ...] = (OrderKey.ACCESSION,)) -> FromOrder:
    return FromOrder(by, frozenset(TAGS[keyword] for keyword in keywords))


def asked(**values: Any) -> OrderQuestion:
    return taking("PatientName").question(attributes(**values))


def meets(question: OrderQuestion, key: OrderKey, item: dict[int, list[Any]]) -> bool:
    conditions = question.conditions(key)
    assert conditions is not None
    return matcher(Query("default", Level.IMAGE, conditions))(item)


def test_each_key_asks_for_what_the_object_says() -> None:
    question = asked(
        StudyInstanceUID="1.2.3", AccessionNumber="A1", PatientID="P1", Modality="CT", StudyDate="20260105",
        RequestAttributesSequence=[attributes(ScheduledProcedureStepID="S1")],
    )  # fmt: skip
    for key in OrderKey:
        assert meets(question, key, order())
    assert not meets(question, OrderKey.STUDY, order(StudyInstanceUID="1.2.30"))
    assert not meets(question, OrderKey.ACCESSION, order(AccessionNumber="A11"))
    assert not meets(question, OrderKey.PATIENT, order(step(ScheduledProcedureStepStartDate="20260106")))
    assert not meets(question, OrderKey.PATIENT, order(step(Modality="MR")))
    assert not meets(question, OrderKey.PATIENT, order(PatientID="P2"))


def test_the_id_of_a_step_is_one_of_its_patient_only() -> None:
    question = asked(PatientID="P1", RequestAttributesSequence=[attributes(ScheduledProcedureStepID="S1")])
    assert meets(question, OrderKey.STEP, order())
    assert not meets(question, OrderKey.STEP, order(PatientID="P2"))
    assert not meets(question, OrderKey.STEP, order(step("S2")))


def test_what_the_object_does_not_say_finds_nothing() -> None:
    assert all(asked().conditions(key) is None for key in OrderKey)
    assert asked(PatientID="P1").conditions(OrderKey.STEP) is None
    assert asked(PatientID="P1", Modality="CT", StudyDate="soon").conditions(OrderKey.PATIENT) is None


def test_the_accession_number_may_be_that_of_the_request() -> None:
    assert asked(RequestAttributesSequence=[attributes(AccessionNumber="A7")]).accession == "A7"
    assert asked(AccessionNumber="A8", RequestAttributesSequence=[attributes(AccessionNumber="A7")]).accession == "A8"


def test_an_issuer_that_both_say_has_to_be_the_same() -> None:
    question = asked(PatientID="P1", IssuerOfPatientID="NORTH")
    assert question.agrees(order())
    assert question.agrees(order(IssuerOfPatientID="NORTH"))
    assert not question.agrees(order(IssuerOfPatientID="SOUTH"))


def test_what_the_order_does_not_say_stays_unless_it_is_of_another_patient() -> None:
    rule = taking("PatientID", "PatientName", "PatientSex", "ReferringPhysicianName")
    own = attributes(PatientID="P1", PatientSex="F", ReferringPhysicianName="Cuddy^Lisa")
    order_values = order(ReferringPhysicianName=None)
    assert dict(rule.values(own, order_values)) == attributes(PatientID="P1", PatientName="Doe^Jane")
    other = dict(rule.values(own, order(PatientID="P2", ReferringPhysicianName=None)))
    assert other == {**attributes(PatientID="P2", PatientName="Doe^Jane"), TAGS["PatientSex"]: ()}
    # Of a rule that leaves the patient alone, what he is stays, too.
    assert dict(taking("PatientSex").values(own, order(PatientID="P2"))) == {}


def test_everything_that_decides_is_read() -> None:
    reads = taking("ReferringPhysicianName").reads
    assert {TAGS["ReferringPhysicianName"], TAGS["AccessionNumber"], TAGS["StudyInstanceUID"], REQUEST} <= reads
