"""Receivers of performed procedure steps, built with pynetdicom: a RIS that stores them, and a screen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import ModalityPerformedProcedureStep, ModalityPerformedProcedureStepNotification

_OVER = ("COMPLETED", "DISCONTINUED")


@dataclass
class StepKeeper:
    """A RIS, as strict as PS3.4 F.7. `refuses` are SOP Instance UIDs of steps that it refuses."""

    refuses: set[str] = field(default_factory=set)
    steps: dict[str, Dataset] = field(default_factory=dict)
    taken: list[tuple[str, str]] = field(default_factory=list)
    """The changes: SOP Instance UID, and the step's status in the message, "" for none."""
    answered: list[int] = field(default_factory=list)

    def create(self, event: evt.Event) -> tuple[Any, None]:
        """Handles N-CREATE."""
        request: Any = event.request
        return self._answer(self._create(str(request.AffectedSOPInstanceUID), event.attribute_list))

    def set(self, event: evt.Event) -> tuple[Any, None]:
        """Handles N-SET."""
        request: Any = event.request
        return self._answer(self._set(str(request.RequestedSOPInstanceUID), event.modification_list))

    def of(self, uid: str) -> list[str]:
        """The statuses of a step, in the order of arrival."""
        return [data_set for step_uid, data_set in self.taken if step_uid == uid]

    def _create(self, uid: str, data_set: Dataset) -> Dataset:
        if uid in self.refuses:
            return status(0x0110)
        if uid in self.steps:
            return status(0x0111)
        self.steps[uid] = data_set
        self.taken.append((uid, data_set.PerformedProcedureStepStatus))
        return status(0)

    def _set(self, uid: str, data_set: Dataset) -> Dataset:
        if uid not in self.steps:
            return status(0x0112)
        if self.steps[uid].PerformedProcedureStepStatus in _OVER:
            return status(0x0110, ErrorID=0xA710)
        self.steps[uid].update(data_set)
        self.taken.append((uid, data_set.get("PerformedProcedureStepStatus", "")))
        return status(0)

    def _answer(self, data_set: Dataset) -> tuple[Dataset, None]:
        self.answered.append(data_set.Status)
        return data_set, None


def status(number: int, **elements: Any) -> Dataset:
    """The status elements of a response."""
    answer = Dataset()
    answer.Status = number
    for keyword, value in elements.items():
        setattr(answer, keyword, value)
    return answer


@contextmanager
def keeping(keeper: StepKeeper, title: str = "RIS", port: int = 0) -> Iterator[int]:
    """The port at which a RIS listens."""
    ae = AE(ae_title=title)
    ae.add_supported_context(ModalityPerformedProcedureStep)
    handlers: list[Any] = [(evt.EVT_N_CREATE, keeper.create), (evt.EVT_N_SET, keeper.set)]
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()


@contextmanager
def notified(notices: list[tuple[str, int]], title: str = "BOARD", port: int = 0) -> Iterator[int]:
    """The port at which a screen listens; it appends SOP Instance UIDs and Event Type IDs. It is SCU of the SOP class,
    and refuses associations in which it would be SCP."""
    ae = AE(ae_title=title)
    ae.add_supported_context(ModalityPerformedProcedureStepNotification, scu_role=False, scp_role=True)

    def report(event: evt.Event) -> tuple[int, None]:
        request: Any = event.request
        assert request.EventInformation is None or not request.EventInformation.getvalue()
        notices.append((str(request.AffectedSOPInstanceUID), int(event.event_type or 0)))
        return 0x0000, None

    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, report)])
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
