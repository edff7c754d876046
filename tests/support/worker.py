"""A scheduler and a worker built with pynetdicom that use Unified Procedure Steps (PS3.4 CC)."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    UnifiedProcedureStepEvent,
    UnifiedProcedureStepPull,
    UnifiedProcedureStepPush,
    UnifiedProcedureStepQuery,
    UnifiedProcedureStepWatch,
)

CHANGE_STATE, REQUEST_CANCEL, SUBSCRIBE, UNSUBSCRIBE, SUSPEND = 1, 2, 3, 4, 5


def code(value: str = "SEG") -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "99TEST", "meaning"
    return item


def step(**values: Any) -> Dataset:
    """The data set of N-CREATE."""
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 100"
    made.TransactionUID = ""
    made.ScheduledProcedureStepPriority = "MEDIUM"
    made.ProcedureStepLabel = "Segment the liver"
    made.WorklistLabel = "LIVER"
    made.ScheduledProcedureStepStartDateTime = "20260105093000"
    made.ScheduledWorkitemCodeSequence = Items([code()])
    made.InputReadinessState = "READY"
    made.ProcedureStepState = "SCHEDULED"
    made.PatientName = "Müller^Eva"
    made.PatientID = "P1"
    made.ProcedureStepProgressInformationSequence = Items([])
    made.UnifiedProcedureStepPerformedProcedureSequence = Items([])
    made.update(values)
    return made


def performed(transaction: str) -> Dataset:
    """The data set of N-SET before the workitem is completed."""
    item = Dataset()
    item.PerformedStationNameCodeSequence = Items([code("W1")])
    item.PerformedProcedureStepStartDateTime = "20260105093000"
    item.PerformedProcedureStepEndDateTime = "20260105093500"
    item.PerformedWorkitemCodeSequence = Items([code()])
    item.OutputInformationSequence = Items([])
    return set_(transaction, UnifiedProcedureStepPerformedProcedureSequence=Items([item]))


def set_(transaction: str, **values: Any) -> Dataset:
    """The data set of N-SET."""
    made = Dataset()
    if transaction:
        made.TransactionUID = transaction
    made.update(values)
    return made


class Worker:
    """One association, for as long as it is entered."""

    def __init__(
        self,
        port: int,
        title: str = "WORKER",
        classes: Sequence[str] = (
            UnifiedProcedureStepPush,
            UnifiedProcedureStepPull,
            UnifiedProcedureStepWatch,
            UnifiedProcedureStepQuery,
        ),
    ) -> None:
        ae = AE(ae_title=title)
        for syntax in classes:
            ae.add_requested_context(syntax)
        self._association = ae.associate("127.0.0.1", port, ae_title="GANTRY")
        self.accepted = {str(context.abstract_syntax) for context in self._association.accepted_contexts}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._association.is_established:
            self._association.release()

    def create(self, uid: str, data: Dataset) -> Dataset:
        """The response to N-CREATE."""
        return self._association.send_n_create(data, UnifiedProcedureStepPush, uid)[0]

    def set(self, uid: str, data: Dataset) -> Dataset:
        """The response to N-SET."""
        return self._association.send_n_set(
            data, UnifiedProcedureStepPush, uid, meta_uid=UnifiedProcedureStepPull
        )[0]  # fmt: skip

    def get(self, uid: str, *tags: int) -> tuple[Dataset, Dataset | None]:
        """The response to N-GET, and the workitem."""
        status, workitem = self._association.send_n_get(
            list(tags) or None, UnifiedProcedureStepPush, uid, meta_uid=UnifiedProcedureStepPull
        )
        return status, workitem

    def act(self, uid: str, action: int, data: Dataset | None, sop_class: str = UnifiedProcedureStepPull) -> Dataset:
        """The response to N-ACTION; `sop_class` is the abstract syntax of its context."""
        return self._association.send_n_action(data, action, UnifiedProcedureStepPush, uid, meta_uid=sop_class)[0]

    def change_state(self, uid: str, state: str, transaction: str) -> int:
        """The status of N-ACTION Change UPS State."""
        data = Dataset()
        data.TransactionUID, data.ProcedureStepState = transaction, state
        return int(self.act(uid, CHANGE_STATE, data).Status)

    def request_cancel(self, uid: str, reason: str = "") -> int:
        """The status of N-ACTION Request UPS Cancel."""
        data = Dataset()
        data.ReasonForCancellation = reason
        return int(self.act(uid, REQUEST_CANCEL, data, UnifiedProcedureStepPush).Status)

    def watch(self, uid: str, action: int = SUBSCRIBE, title: str = "BOARD", **values: Any) -> int:
        """The status of N-ACTION Subscribe, Unsubscribe or Suspend."""
        data = Dataset()
        data.ReceivingAE = title
        data.update(values)
        return int(self.act(uid, action, data, UnifiedProcedureStepWatch).Status)

    def find(self, sop_class: str = UnifiedProcedureStepPull, **keys: Any) -> tuple[int, list[Dataset]]:
        """The final status of C-FIND, and what was found."""
        query = Dataset()
        for keyword in ("SOPInstanceUID", "ProcedureStepState", "ProcedureStepLabel", "TransactionUID", "PatientName"):
            setattr(query, keyword, "")
        query.update(keys)
        answers = list(self._association.send_c_find(query, sop_class))
        return int(answers[-1][0].Status), [answer for _, answer in answers if answer is not None]


class Board:
    """A subscriber: it listens for N-EVENT-REPORTs, and records UID, Event Type ID and event information of each."""

    def __init__(self, title: str = "BOARD", port: int = 0) -> None:
        self.told: list[tuple[str, int, Dataset]] = []
        self._title = title
        self._port = port

    @property
    def states(self) -> list[tuple[str, str]]:
        """The UID and the state of each report of type 1."""
        return [(uid, str(data_set.ProcedureStepState)) for uid, number, data_set in self.told if number == 1]

    def __enter__(self) -> Self:
        ae = AE(ae_title=self._title)
        ae.add_supported_context(UnifiedProcedureStepEvent, scu_role=False, scp_role=True)
        handlers = [(evt.EVT_N_EVENT_REPORT, self._take)]
        self._server = ae.start_server(("127.0.0.1", self._port), block=False, evt_handlers=handlers)
        self.port = int(self._server.server_address[1])
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()

    def _take(self, event: evt.Event) -> tuple[int, None]:
        request: Any = event.request
        assert request.AffectedSOPClassUID == UnifiedProcedureStepPush
        self.told.append((str(request.AffectedSOPInstanceUID), int(event.event_type or 0), event.event_information))
        return 0x0000, None
