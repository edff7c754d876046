"""Messages about patients for others: this archive reads them back with the same meaning."""

from __future__ import annotations

import pytest

from gantry.common.config.hl7_sections import Hl7ProfileSettings
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.hl7.actions import ChangePatientId, CorrectPatient, MergePatients
from gantry.common.hl7.charsets import decoded
from gantry.common.hl7.message import Hl7Message, parse
from gantry.common.hl7.patient_messages import PatientEvent, PatientNews, patient_message
from gantry.common.hl7.patients import patient_actions
from gantry.common.hl7.profiles import profile_of
from gantry.common.hl7.results import Attributes, Correspondents
from gantry.common.hl7.writing import MessageCharset
from gantry.common.lifecycle.identity import PatientIdentity

BETWEEN = Correspondents("GANTRY", "HOSPITAL", "RIS", "NORTH")
PATIENT = {
    TAGS["PatientID"]: ["P2"],
    TAGS["IssuerOfPatientID"]: ["HOSP"],
    TAGS["PatientName"]: [{"Alphabetic": "Müller^Eva"}],
    TAGS["PatientBirthDate"]: ["19700131"],
    TAGS["PatientSex"]: ["F"],
}
PRIOR = {TAGS["PatientID"]: ["P1"], TAGS["IssuerOfPatientID"]: ["HOSP"]}
AT = 1_767_600_000_000_000


def sent(event: PatientEvent, prior: Attributes | None) -> Hl7Message:
    news = PatientNews(event, PATIENT, "route 1", AT, prior)
    return parse(decoded(patient_message(news, BETWEEN, MessageCharset("UNICODE UTF-8")).content))


@pytest.mark.parametrize(
    ("event", "kind", "structure"),
    [
        (PatientEvent.UPDATED, "ADT^A08", "ADT_A01"),
        (PatientEvent.MERGED, "ADT^A40", "ADT_A39"),
        (PatientEvent.RENAMED, "ADT^A47", "ADT_A30"),
    ],
)
def test_what_we_send_is_what_we_would_take(event: PatientEvent, kind: str, structure: str) -> None:
    prior = None if event is PatientEvent.UPDATED else PRIOR
    message = sent(event, prior)
    assert (message.kind, message.header.text(9, 3), message.header.text(7)) == (kind, structure, "20260105080000+0000")
    (action,) = patient_actions(message, profile_of(Hl7ProfileSettings(sender="*", authorities=("HOSP",))))
    new_identity, former_identity = PatientIdentity("P2", "HOSP"), PatientIdentity("P1", "HOSP")
    if isinstance(action, CorrectPatient):
        assert (action.patient, prior) == (new_identity, None)
        assert action.values["00100010"]["Value"] == [{"Alphabetic": "Müller^Eva"}]
        assert action.values["00100030"]["Value"] == ["19700131"]
    else:
        assert isinstance(action, MergePatients | ChangePatientId)
        assert (action.into, action.prior) == (new_identity, former_identity)
        assert isinstance(action, MergePatients) is (event is PatientEvent.MERGED)


def test_same_news_is_the_same_message_to_the_byte_and_other_news_another_one() -> None:
    news = PatientNews(PatientEvent.UPDATED, PATIENT, "route 1", AT)
    charset = MessageCharset("ASCII")
    first, again = (patient_message(news, BETWEEN, charset) for _ in range(2))
    assert first == again
    other = PatientNews(PatientEvent.UPDATED, {**PATIENT, TAGS["PatientSex"]: ["M"]}, "route 1", AT)
    assert patient_message(other, BETWEEN, charset).control_id != first.control_id
