"""Peers built with pynetdicom, in threads of the test: an SCP that retains received bytes, and associations to us."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from pydicom.dataset import Dataset
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, build_role, evt
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification

from gantry.common.net import Peer


@dataclass
class Kept:
    """Handlers for C-STORE and N-EVENT-REPORT requests: the bytes as received, and the originator of each move."""

    answer: Callable[[str], int] = lambda _uid: 0x0000
    data: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    originators: list[tuple[str, int]] = field(default_factory=list)
    reports: list[tuple[int, Dataset]] = field(default_factory=list)
    asked: int = 0

    def _store(self, event: evt.Event) -> int:
        request: Any = event.request
        uid = str(request.AffectedSOPInstanceUID)
        self.asked += 1
        self.originators.append(
            (str(request.MoveOriginatorApplicationEntityTitle or "").strip(), request.MoveOriginatorMessageID or 0)
        )
        status = self.answer(uid)
        if status == 0:
            self.data[uid] = (str(event.context.transfer_syntax), request.DataSet.getvalue())
        return status

    def _report(self, event: evt.Event) -> tuple[int, None]:
        self.reports.append((event.event_type or 0, event.event_information))
        return 0x0000, None

    @property
    def handlers(self) -> list[Any]:
        return [(evt.EVT_C_STORE, self._store), (evt.EVT_N_EVENT_REPORT, self._report)]

    def report(self, transaction_uid: str, seconds: float = 30.0) -> tuple[int, Dataset]:
        """The report of a transaction, when it has arrived."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for kind, information in self.reports:
                if information.TransactionUID == transaction_uid:
                    return kind, information
            time.sleep(0.02)
        raise AssertionError(f"no report after {seconds:g} s")


class Scp:
    """An AE of pynetdicom that accepts associations. `syntaxes` are those it accepts for storage, None for all."""

    def __init__(
        self,
        ae_title: str,
        port: int = 0,
        *,
        kept: Kept | None = None,
        syntaxes: Sequence[str] | None = None,
        classes: Sequence[str] | None = None,
        handlers: Sequence[Any] = (),
        contexts: Sequence[str] = (),
    ) -> None:
        self.kept = kept or Kept()
        self.ae_title = ae_title
        self.ae = AE(ae_title=ae_title)
        self.ae.network_timeout = self.ae.acse_timeout = self.ae.dimse_timeout = 30
        for uid in classes or [str(cx.abstract_syntax) for cx in AllStoragePresentationContexts]:
            self.ae.add_supported_context(uid, list(syntaxes or ALL_TRANSFER_SYNTAXES), scu_role=True, scp_role=True)
        self.ae.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
        self.ae.add_supported_context(Verification)
        for uid in contexts:
            self.ae.add_supported_context(uid)
        self.configured_port = port
        self._handlers = [*self.kept.handlers, *handlers]

    def __enter__(self) -> Self:
        self._server = self.ae.start_server(
            ("127.0.0.1", self.configured_port), block=False, evt_handlers=self._handlers
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def address(self) -> str:
        """The address for the command line."""
        return f"{self.ae_title}@127.0.0.1:{self.port}"


def _negotiation(sop_class_uid: str, information: bytes) -> SOPClassExtendedNegotiation:
    item = SOPClassExtendedNegotiation()
    item.sop_class_uid, item.service_class_application_information = sop_class_uid, information
    return item


@contextmanager
def associated(
    peer: Peer,
    contexts: Sequence[tuple[str, Sequence[str]]],
    *,
    kept: Kept | None = None,
    as_scp: Sequence[str] = (),
    as_both: Sequence[str] = (),
    extended: Mapping[str, bytes] | None = None,
) -> Iterator[Any]:
    """An association of pynetdicom to `peer`; `as_scp` are the SOP classes for which it offers to be the SCP, `as_both`
    those for which it offers to be either. `extended` is application information by SOP class."""
    ae = AE(ae_title=peer.calling_ae_title)
    ae.network_timeout = ae.acse_timeout = ae.dimse_timeout = 30
    for abstract, syntaxes in contexts:
        ae.add_requested_context(abstract, list(syntaxes))
    association = ae.associate(
        peer.host,
        peer.port,
        ae_title=peer.called_ae_title,
        ext_neg=[build_role(uid, scp_role=True) for uid in as_scp]
        + [build_role(uid, scu_role=True, scp_role=True) for uid in as_both]
        + [_negotiation(uid, information) for uid, information in (extended or {}).items()],
        evt_handlers=kept.handlers if kept is not None else [],
    )
    assert association.is_established, "no association"
    try:
        yield association
    finally:
        if association.is_established:
            association.release()
