"""What may be corrected, and how a value must look (pure).

Attributes of the patient, the study, the series and the equipment (PS3.3 C.2.3, C.7.1.1, C.7.2.1, C.7.2.2, C.7.3.1,
C.7.5.1):
none that says what an object is, or how its pixels are to be read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from gantry.common.dicom.encoding.charsets import UTF_8, character_set
from gantry.common.dicom.encoding.values import text_of
from gantry.common.dicom.encoding.writing import ElementWriter
from gantry.common.dicom.query import dates
from gantry.common.dicom.standard.dictionary import TAGS, keyword_of_tag
from gantry.common.dicom.standard.tags import SPECIFIC_CHARACTER_SET
from gantry.common.dicom.standard.transfer_syntaxes import Encoding
from gantry.common.dicom.standard.vrs import vr_of
from gantry.common.errors import NotUnderstood
from gantry.common.ids import is_uid
from gantry.common.lifecycle.corrections import IDENTITY, Values

_PATIENT = """PatientName PatientBirthDate PatientBirthTime PatientSex OtherPatientNames OtherPatientIDsSequence
    EthnicGroup PatientComments PatientSpeciesDescription PatientBreedDescription ResponsiblePerson
    ResponsiblePersonRole ResponsibleOrganization PatientBirthName PatientMotherBirthName PatientReligiousPreference
    MilitaryRank BranchOfService PatientAddress PatientTelephoneNumbers RegionOfResidence CountryOfResidence
    ConfidentialityConstraintOnPatientDataDescription"""
_STUDY = """StudyDate StudyTime AccessionNumber IssuerOfAccessionNumberSequence StudyID StudyDescription
    ReferringPhysicianName ReferringPhysicianIdentificationSequence ConsultingPhysicianName PhysiciansOfRecord
    NameOfPhysiciansReadingStudy RequestingPhysician RequestingService ProcedureCodeSequence
    RequestedProcedureDescription RequestedProcedureID RequestedProcedureCodeSequence
    ReasonForTheRequestedProcedure ReasonForPerformedProcedureCodeSequence AdmittingDiagnosesDescription
    AdmittingDiagnosesCodeSequence AdmissionID PatientAge PatientSize PatientWeight Occupation
    AdditionalPatientHistory PregnancyStatus Allergies MedicalAlerts InstitutionName InstitutionAddress
    TimezoneOffsetFromUTC StudyComments PatientState SmokingStatus LastMenstrualDate"""
_SERIES = """Modality SeriesNumber SeriesDescription SeriesDescriptionCodeSequence SeriesDate SeriesTime
    BodyPartExamined Laterality PatientPosition ProtocolName PerformingPhysicianName OperatorsName StationName
    InstitutionalDepartmentName Manufacturer ManufacturerModelName DeviceSerialNumber RequestAttributesSequence
    PerformedProcedureStepID PerformedProcedureStepDescription PerformedProcedureStepStartDate
    PerformedProcedureStepStartTime PerformedProtocolCodeSequence CommentsOnThePerformedProcedureStep"""

OF_PATIENT = frozenset(TAGS[keyword] for keyword in _PATIENT.split())
"""The demographics of a patient. Patient ID and its issuer change by a merge, or a change of ID."""
OF_STUDY = frozenset(TAGS[keyword] for keyword in f"{_STUDY} {_SERIES}".split()) | OF_PATIENT | frozenset(IDENTITY)
OF_ITS_STUDY = OF_PATIENT | frozenset(IDENTITY) | frozenset(TAGS[keyword] for keyword in _STUDY.split())
"""What an instance says of its patient and study: what a move to another study changes."""
OF_SERIES = frozenset(TAGS[keyword] for keyword in _SERIES.split())

# PS3.5 6.2: characters; of a person's name, in each component group.
_LONGEST = {b"LO": 64, b"LT": 10240, b"PN": 64, b"SH": 16, b"ST": 1024, b"UC": 4096, b"UR": 4096, b"UT": 65536}
_LEADING_COUNTS = (b"LT", b"ST", b"UC", b"UT")
_TEXTS = (b"LT", b"ST", b"UT")
_FORMS = {
    b"AE": r"(?! +$)[ -\[\]-~]{1,16}",
    b"AS": r"\d{3}[DWMY]",
    b"AT": r"[0-9A-F]{8}",
    b"CS": r"[A-Z0-9 _]{1,16}",
    b"DS": r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?",
    b"DT": r"\d{4}(\d\d){0,5}(\.\d{1,6})?([+-]\d{4})?",
    b"IS": r"[+-]?\d{1,11}",
    b"TM": r"([01]\d|2[0-3])([0-5]\d([0-5]\d|60)?(\.\d{1,6})?)?",
}
_FORM = {vr: re.compile(form, re.ASCII) for vr, form in _FORMS.items()}
_WHOLE = {b"US": (0, 1 << 16), b"SS": (-(1 << 15), 1 << 15), b"UL": (0, 1 << 32), b"SL": (-(1 << 31), 1 << 31)}
_FLOATS = (b"FL", b"FD")
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_TAG = re.compile(r"[0-9A-F]{8}")
_DEEPEST = 8
_MOST_VALUES = 64
_MOST_BYTES = 1 << 16
_WRITER = ElementWriter(Encoding(explicit=True), character_set([UTF_8]))


def require_correctable(values: Values, allowed: frozenset[int]) -> None:
    """Raises `NotUnderstood`, in words for whoever asked, for what may not be corrected, or not like this."""
    if not values:
        raise NotUnderstood("nothing to correct: give at least one attribute")
    for name, element in values.items():
        tag = _tag(name)
        if tag not in allowed:
            raise NotUnderstood(f"{keyword_of_tag(tag) or name} cannot be corrected here")
        _require_values(tag, element)
    if len(_WRITER.elements(values)) > _MOST_BYTES:
        raise NotUnderstood(f"a correction of more than {_MOST_BYTES} bytes")


def unpadded(values: Values) -> dict[str, Any]:
    """The same data set without the spaces that mean nothing (PS3.5 6.2): a sender that writes JSON out of what it read
    in binary leaves them there, and "4711 " would be another patient than "4711". What is no data set stays so. Raises
    `NotUnderstood`, in words for whoever asked, where sequences are nested too deep."""
    return _unpadded_items(values, 0)


def _unpadded_items(values: Values, depth: int) -> dict[str, Any]:
    # Nothing has been checked yet: a document may be nested deeper than Python's stack.
    _require_depth(depth)
    return {name: _unpadded(element, depth) for name, element in values.items()}


def _unpadded(element: Any, depth: int) -> Any:
    values = element.get("Value") if isinstance(element, Mapping) else None
    if not isinstance(values, list):
        return element
    vr = str(element.get("vr")).encode("ascii", "replace")
    return {**element, "Value": [_without_spaces(vr, value, depth) for value in values]}


def _without_spaces(vr: bytes, value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return value.rstrip(" ") if vr in _LEADING_COUNTS else value.strip(" ")
    if isinstance(value, Mapping) and vr == b"SQ":
        return _unpadded_items(value, depth + 1)
    if isinstance(value, Mapping) and vr == b"PN":
        return {group: part.strip(" ") if isinstance(part, str) else part for group, part in value.items()}
    return value


def require_elements(values: Values, most: int = _MOST_VALUES) -> None:
    """Raises `NotUnderstood`, in words for whoever asked, for a data set that is none, or has values that do not fit
    their VR (PS3.5 6.2), or more than `most` of one attribute."""
    for name, element in values.items():
        _require_values(_tag(name), element, most)


def correctable_of(values: Values, allowed: frozenset[int]) -> dict[str, Mapping[str, Any]]:
    """Those of some attributes that may be corrected like this: what an object says need not be valid."""
    elements: dict[str, Mapping[str, Any]] = {}
    for name, element in values.items():
        try:
            require_correctable({name: element}, allowed)
        except NotUnderstood:
            continue
        elements[name] = element
    return elements


def element_of(keyword: str, texts: list[str]) -> tuple[str, dict[str, Any]]:
    """An attribute by its keyword (or tag), as a person writes it: name and element in the DICOM JSON model; no texts
    empty it. Raises `NotUnderstood`."""
    tag = tag_named(keyword)
    if vr_of(tag) == b"SQ":
        raise NotUnderstood(f"{keyword} is a sequence: correct it over HTTP")
    return f"{tag:08X}", element_at(tag, [text for text in texts if text])


def tag_named(keyword: str) -> int:
    """The tag of an attribute by its keyword, or as eight capital hexadecimal digits. Raises `NotUnderstood`."""
    return TAGS.get(keyword) or _tag(keyword)


def element_at(tag: int, texts: list[str]) -> dict[str, Any]:
    """An element of the DICOM JSON model with these values, which need not fit its VR; an empty text is an empty value
    among others."""
    vr = vr_of(tag)
    element: dict[str, Any] = {"vr": vr.decode("ascii")}
    return {**element, "Value": [_value_of(vr, text) for text in texts]} if texts else element


def _value_of(vr: bytes, text: str) -> Any:
    if vr == b"PN":
        return {g: part for g, part in zip(_GROUPS, text.split("="), strict=False) if part}
    if not text.isascii() or "_" in text:
        return text
    try:
        return int(text) if vr in _WHOLE else float(text) if vr in _FLOATS else text
    except ValueError:
        return text


def _tag(name: str) -> int:
    if _TAG.fullmatch(name) is None:
        words = "neither a keyword of the data dictionary nor a tag as eight capital hexadecimal digits"
        raise NotUnderstood(f"{name[:64]!a} is {words}")
    return int(name, 16)


def _require_values(tag: int, element: Mapping[str, Any], most: int = _MOST_VALUES, depth: int = 0) -> None:
    keyword, vr = keyword_of_tag(tag), vr_of(tag)
    if not isinstance(element, Mapping) or element.get("vr") != vr.decode():
        raise NotUnderstood(f"{keyword}: its vr is {vr.decode()}")
    values = element.get("Value", [])
    if not isinstance(values, list) or len(values) > most or element.keys() - {"vr", "Value"}:
        raise NotUnderstood(f"{keyword}: Value is a list of at most {most} values")
    for value in values:
        if vr == b"SQ":
            _require_item(keyword or "", value, most, depth + 1)
        elif not _fits(vr, value):
            raise NotUnderstood(f"{keyword}: not a value of {vr.decode()} (PS3.5 6.2)")


def _require_depth(depth: int) -> None:
    if depth > _DEEPEST:
        raise NotUnderstood(f"sequences are nested deeper than {_DEEPEST}")


def _require_item(keyword: str, item: Any, most: int, depth: int) -> None:
    if not isinstance(item, Mapping):
        raise NotUnderstood(f"{keyword}: an item is an object")
    _require_depth(depth)
    for name, element in item.items():
        if (tag := _tag(name)) == SPECIFIC_CHARACTER_SET:
            raise NotUnderstood(f"{keyword}: an item has the character set of its data set")
        _require_values(tag, element, most, depth)


def _fits(vr: bytes, value: Any) -> bool:
    if vr == b"PN":
        return (
            isinstance(value, Mapping)
            and bool(value)
            and value.keys() <= {*_GROUPS}
            and all(_is_text(vr, part) for part in value.values())
        )
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return False
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        return False  # of any VR: nothing that is written of it has room for more
    if vr in _WHOLE:
        return isinstance(value, int) and _WHOLE[vr][0] <= value < _WHOLE[vr][1]
    if vr in _FLOATS:
        return not isinstance(value, str) and math.isfinite(value)
    text = text_of(value)
    if vr == b"DA":
        return dates.date(text) == text
    if vr == b"UI":
        return is_uid(text)
    if vr in _FORM:
        longest = 12 if vr == b"IS" else 16 if vr == b"DS" else 64
        in_range = vr != b"IS" or _FORM[vr].fullmatch(text) is None or -(1 << 31) <= int(text) < 1 << 31
        return _FORM[vr].fullmatch(text) is not None and len(text) <= longest and in_range
    return vr in _LONGEST and _is_text(vr, text)


def _is_text(vr: bytes, text: Any) -> bool:
    if not isinstance(text, str) or len(text) > _LONGEST[vr] or (vr == b"PN" and "=" in text):
        return False
    # PS3.5 6.1.3: only these control characters, and only in texts; a backslash would be another value.
    plain = text.replace("\r", "").replace("\n", "").replace("\t", "") if vr in _TEXTS else text.replace("\\", "\n")
    return plain.isprintable() or not plain
