"""Instances and decisions about them, for tests of views of rejected instances."""

from __future__ import annotations

from gantry.common.access.views import views_of
from gantry.common.lifecycle import Deletion, DeletionState
from gantry.common.ports.index import Decision, InstanceEntry, InstanceKey
from tests.support.entries import entry

PARTITION, QUALITY, SAFETY = "default", "113001", "113037"
VIEWS = views_of([f"qa={QUALITY}", f"all={QUALITY},{SAFETY}"])


def made(number: int) -> InstanceEntry:
    study, series = number % 5, number % 2
    patient, name = f"P{study % 3}", {"Alphabetic": f"NAME^{study % 3}"}
    day = f"2024011{study}"
    uids = f"1.9.{number}", f"1.{study}", f"1.{study}.{series}"
    return entry(number, *uids, PatientID=patient, PatientName=name, StudyDate=day, Modality=("CT", "MR")[series])


def key_of(instance: InstanceEntry) -> InstanceKey:
    return InstanceKey(instance.study_instance_uid, instance.series_instance_uid, instance.sop_instance_uid)


def decided(instance: InstanceEntry, deletion_state: DeletionState) -> Decision:
    return Decision(PARTITION, key_of(instance), instance.receipt, deletion_state)


def rejected(code: str, id_: str) -> DeletionState:
    return DeletionState(frozenset((Deletion(id_, 1, kept=bool(code), code=code),)))
