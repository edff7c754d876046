"""Studies of which each kind of sight sees some and not others; and queries for them."""

from __future__ import annotations

from collections.abc import Mapping

from gantry.common.access import EVERYTHING, NOTHING, Alternative, Sight
from gantry.common.access.sight import ORDINARY
from gantry.common.dicom.query.matching import Condition, Level, Query, Single, UidList, Wildcard
from gantry.common.dicom.query.ordering import Order
from gantry.common.dicom.standard.dictionary import TAGS
from tests.support.entries import entry

PATIENT_ID, REFERRER, STUDY = TAGS["PatientID"], TAGS["ReferringPhysicianName"], TAGS["StudyInstanceUID"]
CONFIDENTIAL = (3, 5, 8, 10)
"""Numbers of studies."""
ENTRIES = [
    entry(
        n,
        f"1.9.{n}",
        f"1.{n % 12}",
        f"1.{n % 12}.{n % 2}",
        PatientID=f"P{n % 12 % 4}",
        PatientName={"Alphabetic": f"NAME^{n % 12 % 4}"},
        ReferringPhysicianName={"Alphabetic": ["Doe^Jane", "Roe^Max", "Doe^Janet"][n % 12 % 3]},
        StudyDate=f"202401{10 + n % 12}",
        Modality=["CT", "MR"][n % 2 if n % 12 % 6 == 1 else n % 12 % 2],
        InstitutionName=["North", "South", ""][n % 12 // 4],
        InstitutionalDepartmentName="Cardiology" if n % 24 == 5 or n % 12 == 8 else "Radiology",
        InstanceNumber=n,
        ConfidentialityConstraintOnPatientDataDescription="VIP" if n % 12 in CONFIDENTIAL else "",
    )
    for n in range(1, 61)
]
NUMBER = {instance.study_instance_uid: int(instance.study_instance_uid.split(".")[1]) for instance in ENTRIES}
OWN: Alternative = {PATIENT_ID: Single(("P1",))}
REFERRED: Alternative = {REFERRER: Single(("Doe^Jane",))}
NORTH: Alternative = {TAGS["InstitutionName"]: Single(("North",))}
MODALITY: Alternative = {TAGS["ModalitiesInStudy"]: Single(("CT",))}
DEPARTMENT: Alternative = {TAGS["InstitutionalDepartmentName"]: Single(("Cardiology",))}


OPENED: Alternative = {STUDY: UidList(("1.5", "1.404"))}


def _modalities(study: int) -> set[str]:
    return {
        str(instance.attributes[TAGS["Modality"]][0])
        for instance in ENTRIES
        if NUMBER[instance.study_instance_uid] == study
    }


def _is_ct_of_north(study: int) -> bool:
    return study < 4 and "CT" in _modalities(study)


SIGHTS = {
    "everything": (EVERYTHING, lambda study: True),
    "nothing": (NOTHING, lambda study: False),
    "record": (Sight((OWN,)), lambda study: study % 4 == 1),
    "referrals": (Sight((REFERRED,)), lambda study: study % 3 == 0),
    "either": (Sight((OWN, REFERRED)), lambda study: study % 4 == 1 or study % 3 == 0),
    "institution": (Sight((NORTH,)), lambda study: study < 4),
    "modality": (Sight((MODALITY,)), lambda study: "CT" in _modalities(study)),
    "department": (Sight((DEPARTMENT,)), lambda study: study in (5, 8)),
    "institution and modality": (
        Sight(({**NORTH, **MODALITY},)),
        lambda study: study < 4 and "CT" in _modalities(study),
    ),
    "department or record": (Sight((DEPARTMENT, OWN)), lambda study: study in (5, 8) or study % 4 == 1),
    "either of many": (
        Sight((REFERRED, {**NORTH, **MODALITY})),
        lambda study: study % 3 == 0 or _is_ct_of_north(study),
    ),
    "ordinary": (Sight((ORDINARY,)), lambda study: study not in CONFIDENTIAL),
    "ordinary and one that was opened": (
        Sight((ORDINARY, OPENED)),
        lambda study: study not in CONFIDENTIAL or study == 5,
    ),
    "ordinary of an institution, or a record": (
        Sight(({**NORTH, **ORDINARY}, OWN)),
        lambda study: (study < 4 and study not in CONFIDENTIAL) or study % 4 == 1,
    ),
}
CONDITIONS: dict[str, Mapping[int, Condition]] = {
    "all": {},
    "own patient": {PATIENT_ID: Single(("P1",))},
    "another patient": {PATIENT_ID: Single(("P2",))},
    "some patients": {PATIENT_ID: Wildcard(("P*",))},
    "a referrer": {REFERRER: Wildcard(("Doe^J*",))},
    "studies": {STUDY: UidList(("1.0", "1.1", "1.2", "1.3"))},
    "days": {TAGS["StudyDate"]: Single(("20240113", "20240115", "20240119"))},
    "a series": {TAGS["SeriesInstanceUID"]: Single(("1.3.1",))},
    "a modality": {TAGS["ModalitiesInStudy"]: Single(("MR",))},
    "an institution": {TAGS["InstitutionName"]: Wildcard(("*o*",))},
}


def query(level: Level, conditions: Mapping[int, Condition], limit: int | None = None, order: Order = ()) -> Query:
    return Query("default", level, conditions, limit, order=order)


QUESTIONS = [(level, name) for level in (Level.STUDY, Level.SERIES, Level.IMAGE) for name in CONDITIONS]


COUNTS = {TAGS[f"NumberOfPatientRelated{level}"] for level in ("Studies", "Series", "Instances")}


def texts(documents: list[Mapping[int, object]]) -> list[str]:
    """Documents for comparison, without the counts over all studies of a patient."""
    return sorted(repr(sorted((t, v) for t, v in document.items() if t not in COUNTS)) for document in documents)
