"""DICOMDIR: the directory of a file-set (PS3.3 F.3, F.5; PS3.10 8.6), as bytes. Pure.

Records have the keys that their type requires. If an object lacks one, or its value was removed, the record has a dummy
value, since a directory without the key is not valid.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import PurePosixPath
from struct import pack
from typing import Any

from gantry.cli.exporting.names import Exported
from gantry.common.deidentify.values import dummy
from gantry.common.dicom.encoding.charsets import DEFAULT, UTF_8, character_set
from gantry.common.dicom.encoding.part10 import file_meta
from gantry.common.dicom.encoding.writing import ElementWriter
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.dicom.standard.sop_classes import MEDIA_STORAGE_DIRECTORY, STORAGE_SOP_CLASSES
from gantry.common.dicom.standard.tags import SPECIFIC_CHARACTER_SET
from gantry.common.dicom.standard.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN, Encoding
from gantry.common.dicom.standard.vrs import vr_of

_RECORD_NAMES = (
    ("KeyObjectSelection", "KEY OBJECT DOC"),
    ("SRStorage", "SR DOCUMENT"),
    ("ProcedureLog", "SR DOCUMENT"),
    ("Presentation", "PRESENTATION"),
    ("Waveform", "WAVEFORM"),
    ("RTDose", "RT DOSE"),
    ("RTStructureSet", "RT STRUCTURE SET"),
    ("RTPlan", "RT PLAN"),
    ("RTIonPlan", "RT PLAN"),
    ("TreatmentRecord", "RT TREAT RECORD"),
    ("TreatmentSummaryRecord", "RT TREAT RECORD"),
    ("Encapsulated", "ENCAP DOC"),
    ("Spectroscopy", "SPECTROSCOPY"),
    ("RawData", "RAW DATA"),
    ("SpatialRegistration", "REGISTRATION"),
    ("SpatialFiducials", "FIDUCIAL"),
    ("RealWorldValueMapping", "VALUE MAP"),
    ("Tractography", "TRACT"),
    ("SurfaceScan", "SURFACE SCAN"),
    ("Measurements", "MEASUREMENT"),
)
"""Record types by a part of the keyword of a SOP class; all others are images."""

_DATED = ("InstanceNumber", "ContentDate", "ContentTime")
_KEYS: dict[str, tuple[str, ...]] = {
    "PATIENT": ("PatientName", "PatientID"),
    "STUDY": ("StudyDate", "StudyTime", "AccessionNumber", "StudyDescription", "StudyInstanceUID", "StudyID"),
    "SERIES": ("Modality", "SeriesInstanceUID", "SeriesNumber"),
    "IMAGE": ("InstanceNumber",),
    "RT DOSE": ("InstanceNumber", "DoseSummationType"),
    "RT STRUCTURE SET": ("StructureSetLabel", "InstanceNumber"),
    "RT PLAN": ("InstanceNumber", "RTPlanLabel"),
    "RT TREAT RECORD": ("InstanceNumber",),
    "PRESENTATION": ("InstanceNumber", "ContentLabel", "PresentationCreationDate", "PresentationCreationTime"),
    "WAVEFORM": _DATED,
    "SR DOCUMENT": (*_DATED, "CompletionFlag", "VerificationFlag", "ConceptNameCodeSequence"),
    "KEY OBJECT DOC": (*_DATED, "ConceptNameCodeSequence"),
    "SPECTROSCOPY": ("ImageType", *_DATED, "NumberOfFrames", "Rows", "Columns", "DataPointRows", "DataPointColumns"),
    "RAW DATA": _DATED,
    "REGISTRATION": (*_DATED, "ContentLabel"),
    "FIDUCIAL": (*_DATED, "ContentLabel"),
    "VALUE MAP": (*_DATED, "ContentLabel"),
    "TRACT": (*_DATED, "ContentLabel"),
    "ENCAP DOC": ("InstanceNumber", "MIMETypeOfEncapsulatedDocument"),
    "SURFACE SCAN": _DATED,
    "MEASUREMENT": _DATED,
}
"""PS3.3 F.5: the keys of each record that an application must write."""
_MAY_BE_EMPTY = frozenset(("PatientName", "AccessionNumber", "StudyDescription"))
_DEFAULTS = {"PatientID": "UNKNOWN", "StudyID": "1", "SeriesNumber": "1", "InstanceNumber": "1", "Modality": "OT",
             "CompletionFlag": "PARTIAL", "VerificationFlag": "UNVERIFIED", "DoseSummationType": "PLAN",
             "ContentLabel": "UNNAMED"}  # fmt: skip
_NAME_OF_CLASS = {uid: name for name, uid in STORAGE_SOP_CLASSES.items()}

KEYWORDS = tuple(sorted({keyword for keys in _KEYS.values() for keyword in keys} | {"SeriesDescription"}))
"""The attributes of an object that paths and directories need."""


@dataclass(slots=True)
class _Record:
    kind: str
    attributes: dict[str, Any]
    below: dict[str, _Record] = field(default_factory=dict)
    at: int = 0


class Directory:
    """The directory of a file-set while it grows."""

    def __init__(self, uid: str) -> None:
        self._uid = uid
        self._patients: dict[str, _Record] = {}
        self.count = 0

    def add(self, exported: Exported, path: PurePosixPath, header: Mapping[str, Mapping[str, Any]]) -> None:
        """Add an object of the file-set; `header` holds its attributes in the DICOM JSON model."""
        level = self._patients
        for kind, name in (("PATIENT", exported.patient), ("STUDY", exported.study), ("SERIES", exported.series)):
            record = level.setdefault(name, _Record(kind, _keys(kind, header)))
            level = record.below
        kind = record_type(exported.sop_class)
        reference = {
            "ReferencedFileID": ("CS", list(path.parts)),
            "ReferencedSOPClassUIDInFile": ("UI", [exported.sop_class]),
            "ReferencedSOPInstanceUIDInFile": ("UI", [exported.instance]),
            "ReferencedTransferSyntaxUIDInFile": ("UI", [exported.transfer_syntax]),
        }
        fields = {f"{TAGS[keyword]:08X}": {"vr": vr, "Value": value} for keyword, (vr, value) in reference.items()}
        level[exported.instance] = _Record(kind, {**_keys(kind, header), **fields})
        self.count += 1

    def encoded(self) -> bytes:
        """The file DICOMDIR, in Explicit VR Little Endian (PS3.10 8.6)."""
        meta = file_meta(MEDIA_STORAGE_DIRECTORY, self._uid, EXPLICIT_LITTLE_ENDIAN)
        records = list(_all(self._patients.values()))
        # Offsets have a fixed length, so the second pass has the right values.
        length = len(meta) + len(self._head(0, 0)) + 12
        items = [_encoded(record, 0, 0) for record in records]
        for record, item in zip(records, items, strict=True):
            record.at, length = length, length + 8 + len(item)
        following = _following(self._patients.values())
        content = b"".join(
            [_item(_encoded(record, following.get(id(record), 0), _first(record.below))) for record in records]
        )
        roots = list(self._patients.values())
        head = self._head(roots[0].at if roots else 0, roots[-1].at if roots else 0)
        tag = TAGS["DirectoryRecordSequence"]
        sequence = pack("<HH2sHI", tag >> 16, tag & 0xFFFF, b"SQ", 0, len(content))
        return meta + head + sequence + content

    def _head(self, first: int, last: int) -> bytes:
        writer = ElementWriter(Encoding(), DEFAULT)
        values = (
            ("FileSetID", "CS", "GANTRY"),
            ("OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity", "UL", first),
            ("OffsetOfTheLastDirectoryRecordOfTheRootDirectoryEntity", "UL", last),
            ("FileSetConsistencyFlag", "US", 0),
        )
        return b"".join([writer.element(TAGS[keyword], {"vr": vr, "Value": [value]}) for keyword, vr, value in values])


def record_type(sop_class: str) -> str:
    """The directory record type of objects of a SOP class (PS3.3 table F.4-1)."""
    name = _NAME_OF_CLASS.get(sop_class, "")
    return next((kind for part, kind in _RECORD_NAMES if part in name and "Image" not in name), "IMAGE")


def _keys(kind: str, header: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    attributes = {}
    for keyword in _KEYS[kind]:
        name, vr = f"{TAGS[keyword]:08X}", vr_of(TAGS[keyword]).decode("ascii")
        attribute = header.get(name, {})
        if attribute.get("Value") and attribute.get("vr") == vr:
            attributes[name] = dict(attribute)
        elif keyword in _MAY_BE_EMPTY or vr == "SQ":
            attributes[name] = {"vr": vr}
        else:
            attributes[name] = {"vr": vr, "Value": [_DEFAULTS.get(keyword, dummy(vr.encode("ascii")))]}
    return attributes


def _all(records: Iterable[_Record]) -> Iterable[_Record]:
    for record in records:
        yield record
        yield from _all(record.below.values())


def _following(records: Iterable[_Record]) -> dict[int, int]:
    """The position of the next record in the same directory entity, by the identity of each record."""
    level = list(records)
    positions = {id(record): after.at for record, after in pairwise(level)}
    for record in level:
        positions |= _following(record.below.values())
    return positions


def _first(below: Mapping[str, _Record]) -> int:
    return next((record.at for record in below.values()), 0)


def _item(content: bytes) -> bytes:
    return pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


def _encoded(record: _Record, following: int, lower: int) -> bytes:
    attributes = dict(record.attributes)
    text = DEFAULT
    if not str(attributes).isascii():
        text = character_set([UTF_8])
        attributes[f"{SPECIFIC_CHARACTER_SET:08X}"] = {"vr": "CS", "Value": [UTF_8]}
    values = {
        "OffsetOfTheNextDirectoryRecord": ("UL", following),
        "RecordInUseFlag": ("US", 0xFFFF),
        "OffsetOfReferencedLowerLevelDirectoryEntity": ("UL", lower),
        "DirectoryRecordType": ("CS", record.kind),
    }
    attributes |= {f"{TAGS[keyword]:08X}": {"vr": vr, "Value": [value]} for keyword, (vr, value) in values.items()}
    return ElementWriter(Encoding(), text).elements(attributes)
