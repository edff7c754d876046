"""Inventories of what an index shows, on every index."""

from __future__ import annotations

from gantry.common.clock import ManualClock
from gantry.common.dicom.inventory.records import InventoriedStudy, InventoryLevel
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query, Single
from gantry.common.dicom.standard.tags import (
    MODALITY,
    NUMBER_OF_SERIES_RELATED_INSTANCES,
    NUMBER_OF_STUDY_RELATED_INSTANCES,
    PATIENT_ID,
    STUDY_INSTANCE_UID,
)
from gantry.common.lifecycle import Deletion, DeletionState
from gantry.common.ports.index import Decision, InstanceKey, SearchIndex
from gantry.services.maintenance.inventories import InventoriedStudies
from tests.support.entries import entry

ALL = Query("default", Level.STUDY)


async def listed(
    index: SearchIndex, level: InventoryLevel, query: Query = ALL, *, keys: bool = False
) -> list[InventoriedStudy]:
    studies = InventoriedStudies(index, ManualClock(), query, level, keys=keys)
    return sorted([study async for study in studies.all()], key=lambda study: study.uid)


async def filled(index: SearchIndex) -> None:
    """Two studies; one has two series."""
    await index.apply(
        [
            entry(1, "1.2.1.1.1", "1.2.1", "1.2.1.1", PatientID="A", Modality="CT"),
            entry(2, "1.2.1.1.2", "1.2.1", "1.2.1.1", PatientID="A", Modality="CT"),
            entry(3, "1.2.1.2.1", "1.2.1", "1.2.1.2", PatientID="A", Modality="SR"),
            entry(4, "1.2.2.1.1", "1.2.2", "1.2.2.1", PatientID="B", Modality="MR"),
        ]
    )


async def test_every_instance_is_listed_in_its_series_and_study(index: SearchIndex) -> None:
    await filled(index)
    first, second = await listed(index, InventoryLevel.INSTANCE, keys=True)
    assert (first.uid, first.attributes[PATIENT_ID], second.uid) == ("1.2.1", ["A"], "1.2.2")
    assert first.attributes[NUMBER_OF_STUDY_RELATED_INSTANCES] == [3]
    series = {listed_series.uid: listed_series for listed_series in first.series}
    assert {uid: listed_series.attributes[MODALITY] for uid, listed_series in series.items()} == {
        "1.2.1.1": ["CT"],
        "1.2.1.2": ["SR"],
    }
    assert series["1.2.1.1"].attributes[NUMBER_OF_SERIES_RELATED_INSTANCES] == [2]
    assert {instance.sop_instance_uid for instance in series["1.2.1.1"].instances} == {"1.2.1.1.1", "1.2.1.1.2"}
    [image] = series["1.2.1.2"].instances
    stored = entry(3)
    assert (image.key, image.file_length) == (stored.object_key, stored.data_set_offset + stored.data_set_length)


async def test_what_is_deleted_is_not_listed(index: SearchIndex) -> None:
    await filled(index)
    gone = [("1.2.1", "1.2.1.1", "1.2.1.1.1", 1), ("1.2.2", "1.2.2.1", "1.2.2.1.1", 4)]
    deletion_state = DeletionState(frozenset((Deletion("d1", 1),)))
    await index.decide(
        [
            Decision("default", InstanceKey(study, series, sop), f"{n:032x}", deletion_state)
            for study, series, sop, n in gone
        ]
    )
    [study] = await listed(index, InventoryLevel.INSTANCE)
    uids = {instance.sop_instance_uid for series in study.series for instance in series.instances}
    assert (study.uid, uids) == ("1.2.1", {"1.2.1.1.2", "1.2.1.2.1"})
    assert study.attributes[NUMBER_OF_STUDY_RELATED_INSTANCES] == [2]


async def test_a_condition_narrows_it_and_a_level_ends_it(index: SearchIndex) -> None:
    await filled(index)
    query = Query("default", Level.STUDY, {STUDY_INSTANCE_UID: Single(("1.2.1",))})
    [study] = await listed(index, InventoryLevel.SERIES, query)
    assert [(series.uid, series.instances) for series in study.series] == [("1.2.1.1", ()), ("1.2.1.2", ())]
    assert [listed_study.series for listed_study in await listed(index, InventoryLevel.STUDY)] == [(), ()]


async def test_pages_are_joined(index: SearchIndex) -> None:
    await index.apply([entry(n, f"1.2.{n}.1.1", f"1.2.{n}", f"1.2.{n}.1") for n in range(1, 251)])
    studies = await listed(index, InventoryLevel.INSTANCE)
    assert len({study.uid for study in studies}) == len(studies) == 250
