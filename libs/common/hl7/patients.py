"""What PID says of a patient, and what ADT messages ask for (HL7 v2.5 3.3, IHE RAD-12). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from gantry.common.errors import NotUnderstood
from gantry.common.hl7.actions import Action, ChangePatientId, CorrectPatient, MergePatients, Nothing
from gantry.common.hl7.collecting import CollectedAttributes
from gantry.common.hl7.datatypes import date_and_time, person_name, sex
from gantry.common.hl7.fields import FieldPath, find
from gantry.common.hl7.message import Field, Hl7Message, MessageSegment
from gantry.common.hl7.problems import ErrorCode, MessageProblem, MessageRefused, Spot
from gantry.common.hl7.profiles import SenderProfile
from gantry.common.lifecycle.identity import PatientIdentity

_VISITS = "what it says of a visit is not kept here"
UNCHANGED = {
    "A02": _VISITS,
    "A03": _VISITS,
    "A10": _VISITS,
    "A11": _VISITS,
    "A12": _VISITS,
    "A13": _VISITS,
    "A38": _VISITS,
    # HL7 v2.3 3.2.46: from MRG-4 to PID-2; it need not name a patient in PID-3 or MRG-1.
    "A46": "the external ID of a patient (PID-2) is not kept here",
}
"""Events that are acknowledged, and change nothing, and why."""
UPDATES = ("A08", "A31")
ADMISSIONS = ("A01", "A04", "A05", "A06", "A07", "A28")
"""A patient is admitted, registered, announced, has become an inpatient or outpatient, or a person is added: the visit
is not kept here, and what PID says of the patient is an update."""
MERGES = ("A40", "A18", "A34", "A36")
"""The latter three are those of versions before 2.3.1; A40 takes their place (HL7 v2.5 3.3.18, 3.3.34, 3.3.36). Of the
accounts that A36 merges nothing is kept here."""
CHANGES_OF_ID = ("A47",)
_MOST_PAIRS = 50
_NOT_CONFIDENTIAL = ("N",)
"""HL7 table 0136; what a VIP indicator says is a site's own (table 0099)."""


def patient_actions(message: Hl7Message, profile: SenderProfile) -> list[Action]:
    """What an ADT message asks for. Raises `MessageRefused`."""
    event = message.event
    if event in UNCHANGED:
        return [Nothing(UNCHANGED[event])]
    if event in UPDATES:
        return [_update(message, profile)]
    if event in ADMISSIONS:
        return [_admission(message, profile)]
    if event in MERGES or event in CHANGES_OF_ID:
        groups = list(islice(message.groups("PID"), _MOST_PAIRS + 1))
        if len(groups) > _MOST_PAIRS:
            text = f"more than {_MOST_PAIRS} patients in one message"
            raise MessageRefused(MessageProblem(ErrorCode.SEGMENT_SEQUENCE, text, Spot("PID")))
        return [_merge_of(group, profile, event) for group in groups] or [_merge_of([], profile, event)]
    raise MessageRefused(
        MessageProblem(
            ErrorCode.UNSUPPORTED_EVENT, "this event of ADT is not taken: see docs/hl7.md", Spot("MSH", field=9)
        ),
        rejected=True,
    )


def _update(message: Hl7Message, profile: SenderProfile) -> Action:
    collected = CollectedAttributes()
    pid = _pid(message.segments)
    patient = _trusted(pid, 3, profile)
    demographics(pid, collected)
    _confidentiality(message.segments, profile, collected)
    collected.require_sound()
    return CorrectPatient(patient, collected.values) if collected.values else Nothing("nothing is said of it")


def _admission(message: Hl7Message, profile: SenderProfile) -> Action:
    """An admission is no request to correct anything: one from which no update can be taken is acknowledged."""
    try:
        return _update(message, profile)
    except MessageRefused as refused:
        return Nothing(f"nothing is taken of the patient: {refused.problems[0].text}")


def demographics(pid: MessageSegment, collected: CollectedAttributes) -> None:
    """What PID says of a patient but the identity. A field that is "" is not said; one that is "\"\"" empties it."""
    for keyword, field in (("PatientName", 5), ("PatientMotherBirthName", 6)):
        name = person_name(pid.repetitions(field))
        if pid.field(field).is_null:
            collected.empty(keyword)
        elif name is None:
            collected.wrong(pid.spot(field), 'a name with "^", "=" or a backslash in it: DICOM has no such names')
        else:
            collected.put(keyword, pid.spot(field), name or None)
    _birth(pid, collected)
    if pid.field(8).is_null:
        collected.empty("PatientSex")
    elif (known := sex(pid.text(8))) is None:
        collected.wrong(pid.spot(8), "not a value of table 0001", ErrorCode.TABLE_VALUE_NOT_FOUND)
    else:
        collected.put("PatientSex", pid.spot(8), known)


def _confidentiality(
    segments: Sequence[MessageSegment], profile: SenderProfile, collected: CollectedAttributes
) -> None:
    """Where the profile names fields for it: that the patient's data is confidential, or not any more."""
    keyword = "ConfidentialityConstraintOnPatientDataDescription"
    field = find(segments, profile.confidential)
    if field.text in _NOT_CONFIDENTIAL or (not field and _is_nulled(segments, profile.confidential)):
        collected.empty(keyword)
    else:
        collected.text(keyword, field)


def _is_nulled(segments: Sequence[MessageSegment], paths: Sequence[FieldPath]) -> bool:
    return any(
        segment.field(path.field).is_null for path in paths for segment in segments if segment.name == path.segment
    )


def _birth(pid: MessageSegment, collected: CollectedAttributes) -> None:
    if pid.field(7).is_null:
        collected.empty("PatientBirthDate")
        return
    text = pid.text(7)
    moment = date_and_time(text) if text else ("", "")
    if moment is None:
        # HL7 allows a year, or a year and a month: DA does not (PS3.5 6.2).
        if not (len(text) in (4, 6) and text.isdigit()):
            collected.wrong(pid.spot(7), "not a date: YYYYMMDD is needed")
        return
    collected.put("PatientBirthDate", pid.spot(7), moment[0])
    # Midnight is what systems fill in that have no time of birth.
    if moment[1].strip("0."):
        collected.put("PatientBirthTime", pid.spot(7), moment[1])


def identity_of_order(pid: MessageSegment | None, profile: SenderProfile, collected: CollectedAttributes) -> None:
    """Patient ID and its issuer, of an order; nothing where there is none."""
    if pid is None:
        return
    try:
        patient = profile.identity(pid.repetitions(3), trusted=False)
    except NotUnderstood as error:
        collected.wrong(pid.spot(3), str(error))
        return
    if patient is not None:
        collected.put("PatientID", pid.spot(3), patient.patient_id)
        collected.put("IssuerOfPatientID", pid.spot(3, 4), patient.issuer)


def _merge_of(group: Sequence[MessageSegment], profile: SenderProfile, event: str) -> Action:
    """One patient of a merge or change of ID: PID is who it is now, MRG who it was (HL7 v2.5 3.5)."""
    pid = _pid(group)
    mrg = next((segment for segment in group if segment.name == "MRG"), None)
    if mrg is None:
        problem = MessageProblem(ErrorCode.SEGMENT_SEQUENCE, "MRG is needed behind its PID", Spot("MRG"))
        raise MessageRefused(problem)
    into, prior = _trusted(pid, 3, profile), _trusted(mrg, 1, profile)
    if into == prior:
        problem = MessageProblem(ErrorCode.DATA_TYPE, "the prior identifier is the one of PID-3", mrg.spot(1))
        raise MessageRefused(problem)
    collected = CollectedAttributes()
    demographics(pid, collected)
    collected.require_sound()
    return (MergePatients if event in MERGES else ChangePatientId)(prior, into, collected.values)


def _pid(segments: Sequence[MessageSegment]) -> MessageSegment:
    pid = next((segment for segment in segments if segment.name == "PID"), None)
    if pid is None:
        raise MessageRefused(MessageProblem(ErrorCode.SEGMENT_SEQUENCE, "PID is needed", Spot("PID")))
    return pid


def _trusted(segment: MessageSegment, field: int, profile: SenderProfile) -> PatientIdentity:
    """Whom a field of identifiers names; who sends an ID of an authority that it may not speak of is refused."""
    repetitions: list[Field] = segment.repetitions(field)
    if not any(repetition.text(1) for repetition in repetitions):
        raise MessageRefused(
            MessageProblem(ErrorCode.REQUIRED_FIELD_MISSING, "a patient identifier is needed", segment.spot(field))
        )
    try:
        patient = profile.identity(repetitions, trusted=True)
    except NotUnderstood as error:
        raise MessageRefused(MessageProblem(ErrorCode.DATA_TYPE, str(error), segment.spot(field))) from error
    if patient is None:
        words = "no identifier of an assigning authority that this sender is trusted with: `authorities` of its profile"
        raise MessageRefused(MessageProblem(ErrorCode.UNKNOWN_KEY, words, segment.spot(field, 4)))
    return patient
