"""A modality built with pynetdicom that reports its procedure steps (MPPS)."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pynetdicom import AE
from pynetdicom.sop_class import (
    ModalityPerformedProcedureStep,
    ModalityPerformedProcedureStepRetrieve,
    ModalityWorklistInformationFind,
)


def refers(order: Dataset, number: int = 0, **values: Any) -> Dataset:
    """An item of Scheduled Step Attributes Sequence for a step of an order."""
    scheduled, item = order.ScheduledProcedureStepSequence[number], Dataset()
    item.StudyInstanceUID = order.StudyInstanceUID
    item.ReferencedStudySequence = Items([])
    item.AccessionNumber = order.AccessionNumber
    item.RequestedProcedureID = order.RequestedProcedureID
    item.RequestedProcedureDescription = ""
    item.ScheduledProcedureStepID = scheduled.ScheduledProcedureStepID
    item.ScheduledProcedureStepDescription = ""
    item.ScheduledProtocolCodeSequence = Items([])
    item.update(values)
    return item


def unscheduled(study: str) -> Dataset:
    """An item that names only a study."""
    item = Dataset()
    item.StudyInstanceUID = study
    for keyword in ("AccessionNumber", "RequestedProcedureID", "ScheduledProcedureStepID"):
        setattr(item, keyword, "")
    return item


def begun(references: Sequence[Dataset], **values: Any) -> Dataset:
    """The data set of N-CREATE."""
    step = Dataset()
    step.SpecificCharacterSet = "ISO_IR 100"
    step.ScheduledStepAttributesSequence = Items(references)
    step.PatientName = "Müller^Eva"
    step.PatientID = "P1"
    step.PatientBirthDate = ""
    step.PatientSex = "F"
    step.PerformedProcedureStepID = "PPS1"
    step.PerformedStationAETitle = "CT1"
    step.PerformedStationName = ""
    step.PerformedLocation = ""
    step.PerformedProcedureStepStartDate = "20260105"
    step.PerformedProcedureStepStartTime = "0940"
    step.PerformedProcedureStepStatus = "IN PROGRESS"
    step.PerformedProcedureStepEndDate = ""
    step.PerformedProcedureStepEndTime = ""
    step.Modality = "CT"
    step.StudyID = ""
    step.PerformedSeriesSequence = Items([])
    step.update(values)
    return step


def over(state: str = "COMPLETED", **values: Any) -> Dataset:
    """The data set of the final N-SET."""
    step, series = Dataset(), Dataset()
    series.PerformingPhysicianName = ""
    series.ProtocolName = "Head"
    series.OperatorsName = ""
    series.SeriesInstanceUID = "1.2.840.99.1.1"
    series.SeriesDescription = ""
    series.RetrieveAETitle = ""
    series.ReferencedImageSequence = Items([])
    step.PerformedProcedureStepStatus = state
    step.PerformedProcedureStepEndDate = "20260105"
    step.PerformedProcedureStepEndTime = "0950"
    step.PerformedSeriesSequence = Items([series])
    step.update(values)
    return step


class Modality:
    """One association, for as long as it is entered."""

    def __init__(self, port: int, title: str = "CT1") -> None:
        ae = AE(ae_title=title)
        for syntax in (
            ModalityPerformedProcedureStep,
            ModalityPerformedProcedureStepRetrieve,
            ModalityWorklistInformationFind,
        ):
            ae.add_requested_context(syntax)
        self._association = ae.associate("127.0.0.1", port, ae_title="GANTRY")
        assert self._association.is_established

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._association.release()

    def create(self, uid: str, step: Dataset) -> Dataset:
        """The response to N-CREATE."""
        return self._association.send_n_create(step, ModalityPerformedProcedureStep, uid)[0]

    def set(self, uid: str, step: Dataset) -> Dataset:
        """The response to N-SET."""
        return self._association.send_n_set(step, ModalityPerformedProcedureStep, uid)[0]

    def get(
        self, uid: str, *tags: int, of: str = ModalityPerformedProcedureStepRetrieve
    ) -> tuple[Dataset, Dataset | None]:
        """The response to N-GET, and the step; `of` is the SOP class that it is asked under."""
        status, step = self._association.send_n_get(list(tags) or None, of, uid)
        return status, step

    def worklist(self, **values: Any) -> list[Dataset]:
        """The steps that it is to perform."""
        query, step = Dataset(), Dataset()
        query.AccessionNumber = ""
        query.StudyInstanceUID = ""
        step.ScheduledProcedureStepID = ""
        query.ScheduledProcedureStepSequence = Items([step])
        query.update(values)
        answers = list(self._association.send_c_find(query, ModalityWorklistInformationFind))
        assert answers[-1][0].Status == 0
        return [identifier for _, identifier in answers[:-1]]
