"""Documents of the index as ImagingStudy and Patient of FHIR R4. Pure.

ImagingStudy: https://hl7.org/fhir/R4/imagingstudy.html, with its WADO-RS endpoint inside. What FHIR cannot hold (a time
without its offset from UTC, an empty text, a negative number) is left out, never bent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.fhir.identifiers import DICOM_UID, OID, Systems, patient_name
from gantry.common.fhir.searches import DICOM_CODES

Attributes = Mapping[int, Any]
Resource = dict[str, Any]
STUDY_KEYWORDS = """StudyInstanceUID StudyDate StudyTime TimezoneOffsetFromUTC AccessionNumber StudyDescription
    ModalitiesInStudy NumberOfStudyRelatedSeries NumberOfStudyRelatedInstances ReferringPhysicianName
    ProcedureCodeSequence PatientID IssuerOfPatientID PatientName PatientBirthDate PatientSex"""
WADO = "wado"
_GENDERS = {"M": "male", "F": "female", "O": "other"}
_LATERALITY = {"L": ("7771000", "Left"), "R": ("24028007", "Right"), "B": ("51440002", "Right and left")}
"""SNOMED CT, as PS3.16 CID 244 has them."""
_SNOMED = "http://snomed.info/sct"
_SCHEMES = {"DCM": DICOM_CODES, "SCT": _SNOMED, "LN": "http://loinc.org", "UCUM": "http://unitsofmeasure.org"}
"""PS3.16 table 8-1: the URIs of coding schemes."""
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def imaging_study(study: Attributes, systems: Systems, base: str, parts: Iterable[Resource] = ()) -> Resource:
    """The resource of a study; `base` is the URL of DICOMweb, and `parts` are its series, where they are wanted."""
    uid = text_of(study, "StudyInstanceUID")
    identifiers: list[Resource] = [{"system": DICOM_UID, "value": OID + uid}]
    accession = text_of(study, "AccessionNumber")
    if accession:
        identifiers.append(systems.identifier(accession, "", "ACSN"))
    name = name_of(study, "ReferringPhysicianName")
    return filled(
        {
            "resourceType": "ImagingStudy",
            "id": uid,
            "contained": [_endpoint(base)],
            "identifier": identifiers,
            "status": "available",
            "modality": [_coding(DICOM_CODES, code) for code in _texts(study, "ModalitiesInStudy")],
            "subject": subject(study, systems),
            "started": _moment(study, "StudyDate", "StudyTime", text_of(study, "TimezoneOffsetFromUTC")),
            "referrer": {"display": name} if name else None,
            "endpoint": [{"reference": f"#{WADO}"}],
            "numberOfSeries": _number(study, "NumberOfStudyRelatedSeries"),
            "numberOfInstances": _number(study, "NumberOfStudyRelatedInstances"),
            "procedureCode": [concept(item) for item in study.get(TAGS["ProcedureCodeSequence"]) or ()],
            "description": text_of(study, "StudyDescription"),
            "series": list(parts),
        }
    )


def series_of(series: Attributes, zone: str, instances: Sequence[Attributes] = ()) -> Resource:
    """A series; `zone` is the study's offset from UTC."""
    side = _LATERALITY.get(text_of(series, "Laterality"))
    body_part = text_of(series, "BodyPartExamined")
    return filled(
        {
            "uid": text_of(series, "SeriesInstanceUID"),
            "number": _number(series, "SeriesNumber"),
            # R4 requires one; PS3.3 C.7.3.1.1.1: OT is Other.
            "modality": _coding(DICOM_CODES, text_of(series, "Modality") or "OT"),
            "description": text_of(series, "SeriesDescription"),
            "numberOfInstances": _number(series, "NumberOfSeriesRelatedInstances"),
            "bodySite": {"display": body_part} if body_part else None,
            "laterality": {**_coding(_SNOMED, side[0]), "display": side[1]} if side else None,
            "started": _moment(series, "SeriesDate", "SeriesTime", zone),
            "instance": [
                filled(
                    {
                        "uid": text_of(instance, "SOPInstanceUID"),
                        "sopClass": _coding("urn:ietf:rfc:3986", OID + text_of(instance, "SOPClassUID")),
                        "number": _number(instance, "InstanceNumber"),
                    }
                )
                for instance in instances
            ],
        }
    )


def subject(document: Attributes, systems: Systems) -> Resource:
    """A reference to the patient: by id where there is one, by identifier where there is a Patient ID."""
    patient_id, issuer = text_of(document, "PatientID"), text_of(document, "IssuerOfPatientID")
    name = patient_name(patient_id, issuer)
    return filled(
        {
            "reference": f"Patient/{name}" if name else None,
            "identifier": systems.identifier(patient_id, issuer, "MR") if patient_id else None,
            "display": name_of(document, "PatientName") or "Unknown",
        }
    )


def patient(document: Attributes, systems: Systems) -> Resource | None:
    """The resource of a patient; None where it has no id."""
    patient_id, issuer = text_of(document, "PatientID"), text_of(document, "IssuerOfPatientID")
    name = patient_name(patient_id, issuer)
    if not name:
        return None
    return filled(
        {
            "resourceType": "Patient",
            "id": name,
            "identifier": [systems.identifier(patient_id, issuer, "MR")],
            "name": [_human_name(name) for name in document.get(TAGS["PatientName"]) or () if name],
            "gender": _GENDERS.get(text_of(document, "PatientSex")),
            "birthDate": date_of(text_of(document, "PatientBirthDate")),
        }
    )


def outcome(code: str, words: str) -> Resource:
    """Why there is no other answer; `code` is of http://hl7.org/fhir/issue-type."""
    issue = {"severity": "error", "code": code, "diagnostics": words}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def _endpoint(base: str) -> Resource:
    system = "http://terminology.hl7.org/CodeSystem/endpoint-connection-type"
    return {
        "resourceType": "Endpoint",
        "id": WADO,
        "status": "active",
        "connectionType": {"system": system, "code": "dicom-wado-rs"},
        "payloadType": [{"text": "DICOM"}],
        "payloadMimeType": ["application/dicom"],
        "address": base,
    }


def _human_name(value: Any) -> Resource:
    """PS3.5 6.2.1: family, given, middle, prefix, suffix; of several groups the first that is there."""
    family, given_name, middle, prefix, suffix = (_groups(value).split("^") + [""] * 5)[:5]
    givens = [word for part in (given_name, middle) for word in part.split()]
    return filled(
        {
            "text": " ".join(word for word in (prefix, *givens, family, suffix) if word),
            "family": family.strip(),
            "given": givens,
            "prefix": prefix.split(),
            "suffix": suffix.split(),
        }
    )


def name_of(document: Attributes, keyword: str) -> str:
    values = document.get(TAGS[keyword]) or ()
    return str(_human_name(values[0]).get("text", "")) if values and values[0] else ""


def _groups(value: Any) -> str:
    if not isinstance(value, Mapping):
        return _clean(str(value).partition("=")[0])
    return _clean(next((str(value[name]) for name in ("Alphabetic", "Ideographic", "Phonetic") if value.get(name)), ""))


def _texts(document: Attributes, keyword: str) -> list[str]:
    return [text for value in document.get(TAGS[keyword]) or () if value is not None and (text := _clean(str(value)))]


def text_of(document: Attributes, keyword: str) -> str:
    return next(iter(_texts(document, keyword)), "")


def _clean(text: str) -> str:
    return _CONTROL.sub(" ", text).strip()


def _number(document: Attributes, keyword: str) -> int | None:
    """An unsignedInt."""
    try:
        value = int(text_of(document, keyword))
    except ValueError:
        return None
    return value if 0 <= value < 1 << 31 else None


def date_of(value: str) -> str | None:
    match = re.fullmatch(r"(\d{4})\.?(\d\d)\.?(\d\d)", value, re.ASCII)
    try:
        return date(*map(int, match.groups())).isoformat() if match else None
    except ValueError:  # the 30th of February
        return None


def _moment(document: Attributes, day_of: str, time_of: str, zone: str) -> str | None:
    """A dateTime. One with a time needs an offset from UTC (R4 2.24.0.1), and the offset stands in few objects: else it
    is the date alone."""
    day = date_of(text_of(document, day_of))
    clock = re.fullmatch(r"([01]\d|2[0-3]):?([0-5]\d):?([0-5]\d)(\.\d{1,6})?", text_of(document, time_of), re.ASCII)
    offset = re.fullmatch(r"([+-](?:0\d|1[0-4]))([0-5]\d)", zone, re.ASCII)
    if day is None or clock is None or offset is None:
        return day
    return f"{day}T{clock[1]}:{clock[2]}:{clock[3]}{clock[4] or ''}{offset[1]}:{offset[2]}"


def _coding(system: str, code: str) -> Resource:
    return {"system": system, "code": code}


def concept(item: Any) -> Resource:
    """A CodeableConcept of an item with a code (PS3.3 8.8)."""
    code, scheme, meaning = (text_of(item, word) for word in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning"))
    coding = filled({"system": _SCHEMES.get(scheme), "code": code, "display": meaning})
    return filled({"coding": [coding] if code else [], "text": meaning})


def filled(resource: Resource) -> Resource:
    """Without what is empty: R4 2.6.2 has no empty values."""
    return {name: value for name, value in resource.items() if value is not None and value not in ("", [], {})}
