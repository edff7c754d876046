"""Index entries for tests, and the expected answers of an index, computed in a slow and obvious way."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from gantry.common.dicom.encoding.values import text_of
from gantry.common.dicom.query.attributes import ATTRIBUTES, Level
from gantry.common.dicom.query.matching import Document, Query, matches
from gantry.common.dicom.scan.layout import Layout, PixelData, pack_layout
from gantry.common.dicom.standard.tags import (
    MODALITIES_IN_STUDY,
    MODALITY,
    NUMBER_OF_PATIENT_RELATED_INSTANCES,
    NUMBER_OF_PATIENT_RELATED_SERIES,
    NUMBER_OF_PATIENT_RELATED_STUDIES,
    NUMBER_OF_SERIES_RELATED_INSTANCES,
    NUMBER_OF_STUDY_RELATED_INSTANCES,
    NUMBER_OF_STUDY_RELATED_SERIES,
    SERIES_INSTANCE_UID,
    SOP_CLASS_UID,
    SOP_CLASSES_IN_STUDY,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
)
from gantry.common.ports.index import InstanceEntry


def entry(
    receipt: int,
    sop: str = "1.2.3.1.1",
    study: str = "1.2.3",
    series: str = "1.2.3.1",
    digest: str = "blake3:00",
    partition: str = "default",
    sop_class: str = "1.2.840.10008.5.1.4.1.1.2",
    sender: str = "",
    **attributes: Any,
) -> InstanceEntry:
    """An entry; `attributes` are keywords of single values."""
    by_keyword = {a.keyword: a.tag for a in ATTRIBUTES.values()}
    values = {by_keyword[name]: value if isinstance(value, list) else [value] for name, value in attributes.items()}
    return InstanceEntry(
        partition=partition,
        receipt=f"{receipt:032x}",
        study_instance_uid=study,
        series_instance_uid=series,
        sop_instance_uid=sop,
        sop_class_uid=sop_class,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        object_key=f"objects/{partition}/0000000/{receipt:032x}.dcm",
        data_set_offset=300,
        data_set_length=1000 + receipt,
        digest=digest,
        layout=pack_layout(Layout(900, (), PixelData(0x7FE00010, "OW", 912, 88 + receipt))),
        sender=sender,
        attributes={
            STUDY_INSTANCE_UID: [study],
            SERIES_INSTANCE_UID: [series],
            SOP_INSTANCE_UID: [sop],
            SOP_CLASS_UID: [sop_class],
            **values,
        },
    )


def current(entries: Iterable[InstanceEntry]) -> list[InstanceEntry]:
    """The earliest receipt of each instance: a SOP Instance UID in a series of a study."""
    elected: dict[tuple[str, str, str], InstanceEntry] = {}
    for instance in sorted(entries, key=lambda e: e.receipt):
        elected.setdefault(
            (instance.study_instance_uid, instance.series_instance_uid, instance.sop_instance_uid), instance
        )
    return list(elected.values())


def answers(entries: Iterable[InstanceEntry], query: Query) -> list[Document]:
    """The expected answers. A patient has the values of the earliest matching study."""
    by_level = documents(entries)
    if query.level is not Level.PATIENT:
        return [document for document in by_level[query.level] if matches(query, document)]
    matching = (
        next((d for d in patient_documents if matches(query, d)), None) for patient_documents in patients(entries)
    )
    return [document for document in matching if document is not None]


def patients(entries: Iterable[InstanceEntry]) -> list[list[Document]]:
    """For each patient, its documents according to each of its studies, the earliest first."""
    patient_rows = []
    for studies in _patients(entries):
        everything = [instance for study in studies for instance in study]
        counts = {
            NUMBER_OF_PATIENT_RELATED_STUDIES: [len(studies)],
            NUMBER_OF_PATIENT_RELATED_SERIES: [sum(len(_grouped(s, "series_instance_uid")) for s in studies)],
            NUMBER_OF_PATIENT_RELATED_INSTANCES: [len(everything)],
        }
        ordered = sorted(studies, key=lambda study: min(instance.receipt for instance in study))
        patient_rows.append([Document(Level.PATIENT, _elected(study, Level.PATIENT) | counts) for study in ordered])
    return patient_rows


def _patients(entries: Iterable[InstanceEntry]) -> list[list[list[InstanceEntry]]]:
    """The studies of each patient."""
    groups: dict[str, list[list[InstanceEntry]]] = {}
    for study in _grouped(current(entries), "study_instance_uid"):
        groups.setdefault(_patient_of(study), []).append(study)
    return list(groups.values())


def _patient_of(study: list[InstanceEntry]) -> str:
    first = min(study, key=lambda e: e.receipt)
    identity = [[text_of(v) for v in first.attributes.get(tag, []) if v] for tag in (0x00100020, 0x00100021)]
    return json.dumps(identity if identity[0] else first.study_instance_uid)


def _grouped(entries: list[InstanceEntry], field: str) -> list[list[InstanceEntry]]:
    groups: dict[str, list[InstanceEntry]] = {}
    for instance in entries:
        groups.setdefault(getattr(instance, field), []).append(instance)
    return list(groups.values())


def _elected(entries: list[InstanceEntry], level: Level) -> dict[int, Any]:
    first = min(entries, key=lambda e: e.receipt)
    return {t: v for t, v in first.attributes.items() if t in ATTRIBUTES and ATTRIBUTES[t].level is level}


def documents(entries: Iterable[InstanceEntry]) -> dict[Level, list[Document]]:
    """All documents of all levels; a patient has the values of its earliest study."""
    entries = list(entries)
    levels: dict[Level, list[Document]] = {level: [] for level in Level}
    for studies, rows in zip(_patients(entries), patients(entries), strict=True):
        levels[Level.PATIENT].append(rows[0])
        counts = {tag: value for tag, value in rows[0].attributes.items() if ATTRIBUTES[tag].computed}
        for study in studies:
            _below_study(study, _elected(study, Level.PATIENT) | counts, levels)
    return levels


def _below_study(study: list[InstanceEntry], patient: dict[int, Any], levels: dict[Level, list[Document]]) -> None:
    all_series = _grouped(study, "series_instance_uid")
    modalities = {text_of(v) for s in all_series for v in _elected(s, Level.SERIES).get(MODALITY, []) if v}
    attributes = patient | _elected(study, Level.STUDY)
    attributes[MODALITIES_IN_STUDY] = sorted(modalities)
    attributes[SOP_CLASSES_IN_STUDY] = sorted({instance.sop_class_uid for instance in study})
    attributes[NUMBER_OF_STUDY_RELATED_SERIES] = [len(all_series)]
    attributes[NUMBER_OF_STUDY_RELATED_INSTANCES] = [len(study)]
    levels[Level.STUDY].append(Document(Level.STUDY, attributes))
    for series in all_series:
        of_series = attributes | _elected(series, Level.SERIES)
        of_series[NUMBER_OF_SERIES_RELATED_INSTANCES] = [len(series)]
        levels[Level.SERIES].append(Document(Level.SERIES, of_series))
        for instance in series:
            levels[Level.IMAGE].append(Document(Level.IMAGE, of_series | _elected([instance], Level.IMAGE)))
