"""A workitem as it stands (PS3.3 B.26, PS3.4 CC.1.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from blake3 import blake3

from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.dicom.standard.sop_classes import UNIFIED_PROCEDURE_STEP_PUSH
from gantry.common.dicom.standard.tags import SOP_CLASS_UID, SOP_INSTANCE_UID

Attributes = Mapping[int, list[Any]]
"""Values of the DICOM JSON model by tag, the items of a sequence likewise."""

PROCEDURE_STEP_STATE = TAGS["ProcedureStepState"]
TRANSACTION_UID = TAGS["TransactionUID"]
MODIFIED = TAGS["ScheduledProcedureStepModificationDateTime"]
PROGRESS = TAGS["ProcedureStepProgressInformationSequence"]
PERFORMED = TAGS["UnifiedProcedureStepPerformedProcedureSequence"]
WORKLIST_LABEL = TAGS["WorklistLabel"]
CANCELLED_AT = TAGS["ProcedureStepCancellationDateTime"]
WHY_DISCONTINUED = TAGS["ProcedureStepDiscontinuationReasonCodeSequence"]


class WorkitemState(StrEnum):
    """Procedure Step State (PS3.3 C.30.1). The standard spells CANCELED with one L."""

    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    CANCELED = "CANCELED"


FINAL = frozenset((WorkitemState.COMPLETED, WorkitemState.CANCELED))


@dataclass(frozen=True, slots=True)
class Workitem:
    """`attributes` are without its UIDs and its state. `lock` is the digest of the Transaction UID of who performs it
    ("" while nobody does, and where it was cancelled before anybody did). `changed_at` is when its state changed last,
    `created_at` when it was created, in microseconds since the epoch."""

    partition: str
    uid: str
    state: WorkitemState
    attributes: Attributes
    lock: str = ""
    changed_at: int = 0
    created_at: int = 0

    @property
    def document(self) -> dict[int, list[Any]]:
        """All that is shown of it: never its Transaction UID (PS3.4 CC.2.7.3, PS3.18 11.5.3.3). PS3.4 CC.3.1: its SOP
        class is always that of Push."""
        own = {SOP_CLASS_UID: [UNIFIED_PROCEDURE_STEP_PUSH], SOP_INSTANCE_UID: [self.uid]}
        return {**self.attributes, **own, PROCEDURE_STEP_STATE: [self.state.value]}


def lock_of(transaction_uid: str) -> str:
    """What is kept of a Transaction UID: it is a secret of who performs the workitem, and the log is read by others. ""
    for none."""
    return f"blake3:{blake3(transaction_uid.encode()).hexdigest()}" if transaction_uid else ""


def moment(at_us: int) -> str:
    """A time as a value of DT, to the second, in UTC."""
    return f"{datetime.fromtimestamp(at_us // 1_000_000, UTC):%Y%m%d%H%M%S}+0000"
