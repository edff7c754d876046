"""The queryable attributes: the levels of PS3.4 C.6.1.1 and C.6.2.1, and further ones that viewers ask for.

One table; index, query and retrieve read it, and so does the conformance statement.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from gantry.common.dicom.standard.dictionary import TAGS, keyword_of_tag
from gantry.common.dicom.standard.tags import (
    ACQUISITION_DATE,
    ACQUISITION_TIME,
    CONTENT_DATE,
    CONTENT_TIME,
    INSTANCE_CREATION_DATE,
    INSTANCE_CREATION_TIME,
    PATIENT_BIRTH_DATE,
    PATIENT_BIRTH_TIME,
    PATIENT_ID,
    PERFORMED_PROCEDURE_STEP_START_DATE,
    PERFORMED_PROCEDURE_STEP_START_TIME,
    SERIES_DATE,
    SERIES_INSTANCE_UID,
    SERIES_TIME,
    SOP_INSTANCE_UID,
    STUDY_DATE,
    STUDY_INSTANCE_UID,
    STUDY_TIME,
)
from gantry.common.dicom.standard.vrs import vr_of


class Level(Enum):
    """Query/Retrieve levels (PS3.4 C.3), from the root down."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"

    @property
    def depth(self) -> int:
        """0 for PATIENT to 3 for IMAGE."""
        return _DEPTHS[self]


_DEPTHS = {level: depth for depth, level in enumerate(Level)}

# Institution and station belong to the series in the information model (PS3.3 C.7.5.1). Viewers ask for the institution
# with the study: it is stored there, from the study's earliest instance. So is the zone of its dates and times.
# Confidentiality belongs to the patient (PS3.3 C.2.3); sight is decided by study, so it is stored there.
_STORED = {
    Level.PATIENT: """PatientName PatientID IssuerOfPatientID PatientBirthDate PatientBirthTime PatientSex
        OtherPatientIDs OtherPatientNames EthnicGroup PatientComments IssuerOfPatientIDQualifiersSequence
        OtherPatientIDsSequence""",
    Level.STUDY: """StudyDate StudyTime AccessionNumber StudyID StudyInstanceUID ReferringPhysicianName
        StudyDescription PhysiciansOfRecord NameOfPhysiciansReadingStudy AdmittingDiagnosesDescription PatientAge
        PatientSize PatientWeight Occupation AdditionalPatientHistory InstitutionName TimezoneOffsetFromUTC
        ProcedureCodeSequence IssuerOfAccessionNumberSequence ReferencedStudySequence
        ReferringPhysicianIdentificationSequence AdmittingDiagnosesCodeSequence
        ReasonForPerformedProcedureCodeSequence ConfidentialityConstraintOnPatientDataDescription""",
    Level.SERIES: """Modality SeriesNumber SeriesInstanceUID SeriesDate SeriesTime SeriesDescription BodyPartExamined
        ProtocolName Laterality PatientPosition PerformingPhysicianName OperatorsName InstitutionalDepartmentName
        StationName Manufacturer ManufacturerModelName DeviceSerialNumber FrameOfReferenceUID
        PerformedProcedureStepID PerformedProcedureStepDescription PerformedProcedureStepStartDate
        PerformedProcedureStepStartTime RequestAttributesSequence PerformedProtocolCodeSequence
        ReferencedPerformedProcedureStepSequence""",
    Level.IMAGE: """SOPClassUID SOPInstanceUID InstanceNumber ContentDate ContentTime AcquisitionDate AcquisitionTime
        AcquisitionDateTime AcquisitionNumber InstanceCreationDate InstanceCreationTime ImageType ImageComments
        ContentLabel ContentDescription CompletionFlag VerificationFlag Rows Columns BitsAllocated NumberOfFrames
        SamplesPerPixel PhotometricInterpretation SliceLocation SliceThickness ConceptNameCodeSequence
        ReferencedRequestSequence VerifyingObserverSequence ContentTemplateSequence AnatomicRegionSequence
        PrimaryAnatomicStructureSequence ViewCodeSequence DerivationCodeSequence""",
}
# Not stored in any object: counted or collected from the levels below (PS3.4 C.3.4, C.6.2.1.2).
_COMPUTED = {
    Level.PATIENT: """NumberOfPatientRelatedStudies NumberOfPatientRelatedSeries NumberOfPatientRelatedInstances""",
    Level.STUDY: """ModalitiesInStudy SOPClassesInStudy NumberOfStudyRelatedSeries NumberOfStudyRelatedInstances""",
    Level.SERIES: """NumberOfSeriesRelatedInstances""",
    Level.IMAGE: "",
}


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of the query models. A `computed` one is in no object, but in the document of its level.

    A private one has a `creator`; its tag is that of the first block of its group (PS3.5 7.8.1), (gggg,10ee), whatever
    block it has in an object.
    """

    tag: int
    keyword: str
    vr: str
    level: Level
    computed: bool = False
    creator: str = ""

    @property
    def creator_tag(self) -> int:
        """The tag of the creator in an identifier: (gggg,0010)."""
        return self.tag & 0xFFFF0000 | 0x10


def _table() -> dict[int, Attribute]:
    table: dict[int, Attribute] = {}
    for names, computed in ((_STORED, False), (_COMPUTED, True)):
        for level, keywords in names.items():
            for keyword in keywords.split():
                number = TAGS.get(keyword)
                if number is None:
                    raise LookupError(f"{keyword} is not in the data dictionary")
                table[number] = Attribute(number, keyword, vr_of(number).decode("ascii"), level, computed)
    return table


class AttributeTable:
    """The queryable attributes of an index: those of every archive, and those that the settings add."""

    def __init__(self, added: Iterable[Attribute] = ()) -> None:
        """`added` must not include those that every archive has."""
        self.added = tuple(sorted(added, key=lambda attribute: attribute.tag))
        self.by_tag: Mapping[int, Attribute] = {**ATTRIBUTES, **{attribute.tag: attribute for attribute in self.added}}
        self.private = {
            (a.tag >> 16, a.creator, a.tag & 0xFF): (a.tag, a.vr.encode("ascii")) for a in self.added if a.creator
        }
        """Tag and VR by group, creator, and the last two digits of the element."""
        self._vrs = {tag: attribute.vr.encode("ascii") for tag, attribute in self.by_tag.items()}
        by_level = {level: [a for a in self.by_tag.values() if a.level is level] for level in Level}
        self.stored_of = {level: frozenset(a.tag for a in by_level[level] if not a.computed) for level in Level}
        """The attributes that are in objects, by level."""
        self.stored = frozenset().union(*self.stored_of.values())

    def of(self, level: Level) -> list[Attribute]:
        """The attributes of a level."""
        return [attribute for attribute in self.by_tag.values() if attribute.level is level]

    def level_of(self, tag: int) -> Level:
        """The level of an attribute. An attribute that no document has never matches: that may be tested as soon as
        possible."""
        attribute = self.by_tag.get(tag)
        return Level.PATIENT if attribute is None else attribute.level

    def vr_of(self, tag: int) -> bytes:
        """The VR of a private attribute that was added, else what the dictionary says."""
        return self._vrs.get(tag) or vr_of(tag)


ATTRIBUTES: dict[int, Attribute] = _table()
"""The attributes of every archive, by tag."""
STANDARD = AttributeTable()
"""The table of these and no others."""


UNIQUE_KEYS = {
    Level.PATIENT: PATIENT_ID,
    Level.STUDY: STUDY_INSTANCE_UID,
    Level.SERIES: SERIES_INSTANCE_UID,
    Level.IMAGE: SOP_INSTANCE_UID,
}
"""PS3.4 C.6.1.1: the key that names one entity of a level."""

TIME_OF_DATE = {
    STUDY_DATE: STUDY_TIME,
    SERIES_DATE: SERIES_TIME,
    ACQUISITION_DATE: ACQUISITION_TIME,
    CONTENT_DATE: CONTENT_TIME,
    INSTANCE_CREATION_DATE: INSTANCE_CREATION_TIME,
    PERFORMED_PROCEDURE_STEP_START_DATE: PERFORMED_PROCEDURE_STEP_START_TIME,
    PATIENT_BIRTH_DATE: PATIENT_BIRTH_TIME,
}
"""Date attributes, and the time attribute that completes each to a moment (combined date-time matching, PS3.4
C.2.2.2.5)."""


def keyword_of(tag: int) -> str:
    """The keyword of a tag, or its number if it has none."""
    return keyword_of_tag(tag) or f"{tag >> 16:04X}{tag & 0xFFFF:04X}"
