"""An Inventory as pydicom reads it: order of tags, types, scope and parts."""

from __future__ import annotations

from io import BytesIO

import pydicom
from pydicom.dataset import Dataset

from gantry.common.dicom.inventory.records import (
    InventoriedInstance,
    InventoriedSeries,
    InventoriedStudy,
    InventoryLevel,
    Scope,
)
from gantry.common.dicom.inventory.writing import InventoryWriter
from gantry.common.dicom.standard.sop_classes import INVENTORY
from gantry.common.dicom.standard.tags import MODALITY, PATIENT_NAME, ROWS, STUDY_DATE, STUDY_INSTANCE_UID

CT = "1.2.840.10008.5.1.4.1.1.2"
LITTLE = "1.2.840.10008.1.2.1"
BEGAN = ("20261128", "120000")


def a_study(uid: str = "1.2.1", key: str = "objects/a.dcm") -> InventoriedStudy:
    instance = InventoriedInstance(CT, f"{uid}.1.1", LITTLE, key, 1234)
    series = InventoriedSeries(f"{uid}.1", {MODALITY: ["CT"]}, (instance,))
    name = {"Alphabetic": "Müller^Jörg", "Ideographic": "山田^太郎"}
    return InventoriedStudy(uid, "20261128120001+0000", {PATIENT_NAME: [name]}, (series,))


def written(writer: InventoryWriter, *studies: InventoriedStudy) -> Dataset:
    data = writer.begin() + b"".join([writer.study(study) for study in studies]) + writer.end()
    return pydicom.dcmread(BytesIO(data))


def of_level(level: InventoryLevel) -> Dataset:
    return written(InventoryWriter("1.2.9", Scope(level, BEGAN)), a_study())


def in_order(ds: Dataset) -> bool:
    tags = list(ds.keys())
    below = [item for element in ds if element.VR == "SQ" for item in element.value]
    return tags == sorted(tags) and all(map(in_order, below))


def test_it_has_what_its_modules_require() -> None:
    ds = written(InventoryWriter("1.2.9", Scope(InventoryLevel.INSTANCE, BEGAN, "move")), a_study(), a_study("1.2.2"))
    assert (ds.SOPClassUID, ds.SOPInstanceUID, ds.file_meta.MediaStorageSOPClassUID) == (INVENTORY, "1.2.9", INVENTORY)
    assert (ds.ContentDate, ds.ContentTime, ds.InventoryPurpose, ds.InventoryLevel) == (*BEGAN, "move", "INSTANCE")
    assert (ds.Manufacturer, len(ds.ScopeOfInventorySequence), ds.InventoryCompletionStatus) == ("", 0, "COMPLETE")
    assert (ds.NumberOfStudyRecordsInInstance, ds.TotalNumberOfStudyRecords) == (2, 2)
    assert len(ds.InventoriedStudiesSequence) == 2
    assert in_order(ds)


def test_a_study_has_its_series_and_their_instances_with_their_files() -> None:
    scope = Scope(InventoryLevel.INSTANCE, BEGAN, base_uri="s3://bucket/", retrieve_url="https://192.0.2.1/dicom-web")
    ds = written(InventoryWriter("1.2.9", scope), a_study())
    [study] = ds.InventoriedStudiesSequence
    assert (study.StudyInstanceUID, str(study.PatientName)) == ("1.2.1", "Müller^Jörg=山田^太郎")
    [series] = study.InventoriedSeriesSequence
    [instance] = series.InventoriedInstancesSequence
    assert (series.Modality, instance.SOPClassUID, instance.SOPInstanceUID) == ("CT", CT, "1.2.1.1.1")
    [file] = instance.FileAccessSequence
    assert (file.FileAccessURI, file.FileOffsetInContainer, file.FileLengthInContainer) == ("./objects/a.dcm", 0, 1234)
    assert file.StoredInstanceTransferSyntaxUID == LITTLE
    [end] = ds.StudyAccessEndPointsSequence
    assert (end.StoredInstanceBaseURI, end.RetrieveURL) == ("s3://bucket/", "https://192.0.2.1/dicom-web")


def test_nothing_is_below_its_level() -> None:
    [study] = of_level(InventoryLevel.STUDY).InventoriedStudiesSequence
    assert "InventoriedSeriesSequence" not in study
    [study] = of_level(InventoryLevel.SERIES).InventoriedStudiesSequence
    assert "InventoriedInstancesSequence" not in study.InventoriedSeriesSequence[0]


def test_conditions_are_in_the_scope_by_their_kind() -> None:
    conditions = {STUDY_DATE: ["20200101-20201231"], STUDY_INSTANCE_UID: ["1.2", "1.3"], MODALITY: ["CT"]}
    [scope] = written(
        InventoryWriter("1.2.9", Scope(InventoryLevel.STUDY, BEGAN, "", conditions))
    ).ScopeOfInventorySequence
    assert scope.RangeMatchingSequence[0].StudyDate == "20200101-20201231"
    assert list(scope.ListOfUIDMatchingSequence[0].StudyInstanceUID) == ["1.2", "1.3"]
    assert scope.GeneralMatchingSequence[0].Modality == "CT"


def test_a_root_names_its_parts_and_counts_their_studies() -> None:
    ds = written(InventoryWriter("1.2.9", Scope(InventoryLevel.INSTANCE, BEGAN), ["1.2.7", "1.2.8"], 12))
    assert [item.ReferencedSOPInstanceUID for item in ds.IncorporatedInventoryInstanceSequence] == ["1.2.7", "1.2.8"]
    assert (ds.NumberOfStudyRecordsInInstance, ds.TotalNumberOfStudyRecords) == (0, 12)
    assert "InventoriedStudiesSequence" not in ds
    assert in_order(ds)


def test_a_value_that_its_vr_does_not_have_is_left_out_and_the_rest_written() -> None:
    study = InventoriedStudy("1.2.1", "", {ROWS: ["many"], MODALITY: ["CT"]})
    [item] = written(InventoryWriter("1.2.9", Scope(InventoryLevel.STUDY, BEGAN)), study).InventoriedStudiesSequence
    assert ("Rows" in item, item.Modality) == (False, "CT")
