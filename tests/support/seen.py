"""What a peer or user sees over DIMSE, checked with pynetdicom."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, build_role
from pynetdicom.pdu_primitives import UserIdentityNegotiation

from gantry.cli.commit import action_information
from gantry.cli.identifiers import identifier
from gantry.common.dicom.standard.sop_classes import (
    PATIENT_ROOT_FIND,
    PATIENT_ROOT_GET,
    PATIENT_ROOT_MOVE,
    STORAGE_COMMITMENT,
    STORAGE_COMMITMENT_INSTANCE,
)
from gantry.common.net import Peer
from tests.support.pynetdicom_peers import Kept

CT = "1.2.840.10008.5.1.4.1.1.2"
_CLASSES = (PATIENT_ROOT_FIND, PATIENT_ROOT_GET, PATIENT_ROOT_MOVE, STORAGE_COMMITMENT, CT)
_KEYS = {"PATIENT": "PatientID", "STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}


def named(name: str, secret: str = "", kind: int = 0, *, response: bool = False) -> UserIdentityNegotiation:
    """A user identity item, with a passcode if one is given; `kind` is another type."""
    item = UserIdentityNegotiation()
    item.user_identity_type = kind or (2 if secret else 1)
    item.positive_response_requested = response
    item.primary_field = name.encode()
    if secret:
        item.secondary_field = secret.encode()
    return item


def _wait(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.005)


def refused(peer: Peer, *items: Any) -> tuple[int, int, int]:
    """The numbers of the A-ASSOCIATE-RJ that a user gets. Sometimes pynetdicom reports only the end of the connection,
    and not the rejection before it: then the request is repeated."""
    for _ in range(10):
        eyes = Eyes(peer, *items)
        if eyes.association.acceptor.primitive is not None:
            return eyes.refusal
        time.sleep(0.5)
    raise AssertionError("no answer to ten requests for an association")


class Eyes:
    """An association of pynetdicom for checking everything that is visible."""

    def __init__(self, peer: Peer, *items: Any) -> None:
        """`items` are items of the user information."""
        self.kept = Kept()
        ae = AE(ae_title=peer.calling_ae_title)
        ae.network_timeout = ae.acse_timeout = ae.dimse_timeout = 30
        for uid in _CLASSES:
            ae.add_requested_context(uid)
        a: Any = ae.associate(
            peer.host,
            peer.port,
            ae_title=peer.called_ae_title,
            ext_neg=[build_role(CT, scp_role=True), *items],
            evt_handlers=self.kept.handlers,
        )
        # pynetdicom may return before its other thread has set the result.
        self.association = a
        _wait(lambda: a.is_established or a.is_rejected or a.is_aborted)

    def __enter__(self) -> Eyes:
        assert self.association.is_established, "no association"
        return self

    def __exit__(self, *_: object) -> None:
        if self.association.is_established:
            self.association.release()

    @property
    def refusal(self) -> tuple[int, int, int]:
        """The numbers of an A-ASSOCIATE-RJ."""
        primitive = self.association.acceptor.primitive
        return primitive.result, primitive.result_source, primitive.diagnostic

    @property
    def response(self) -> bytes | None:
        """The archive's server response about the user; None without one."""
        item = self.association.acceptor.user_identity
        return None if item is None else bytes(item.server_response)

    @property
    def allowed(self) -> set[str]:
        """The abstract syntaxes of the contexts that were accepted."""
        return {str(cx.abstract_syntax) for cx in self.association.accepted_contexts}

    def find(self, level: str, *keys: str) -> list[Dataset]:
        """All matches."""
        own = [] if any(key.startswith(f"{_KEYS[level]}=") for key in keys) else [_KEYS[level]]
        query = identifier(level, [*keys, *own])
        answers = list(self.association.send_c_find(query, PATIENT_ROOT_FIND))
        assert answers[-1][0].Status == 0x0000
        return [answer for status, answer in answers[:-1]]

    def find_keys(self, level: str, *keys: str) -> list[str]:
        """The unique keys found at a level, in order."""
        return sorted(str(answer[_KEYS[level]].value) for answer in self.find(level, *keys))

    def got(self, level: str, *keys: str) -> tuple[int, set[str]]:
        """C-GET: the number of sub-operations, and the received objects."""
        self.kept.data.clear()
        *_, (final, _) = self.association.send_c_get(identifier(level, keys), PATIENT_ROOT_GET)
        assert (final.Status, final.NumberOfFailedSuboperations) == (0x0000, 0)
        return final.NumberOfCompletedSuboperations, set(self.kept.data)

    def moved(self, to: str, level: str, *keys: str) -> int:
        """C-MOVE: the number of sub-operations."""
        *_, (final, _) = self.association.send_c_move(identifier(level, keys), to, PATIENT_ROOT_MOVE)
        assert (final.Status, final.NumberOfFailedSuboperations) == (0x0000, 0)
        return int(final.NumberOfCompletedSuboperations)

    def committed(self, transaction: str, instances: list[str]) -> dict[str, int]:
        """Storage commitment: a failure reason for each instance, 0 without one."""
        status, _ = self.association.send_n_action(
            action_information(transaction, [(CT, uid) for uid in instances]),
            1,
            STORAGE_COMMITMENT,
            STORAGE_COMMITMENT_INSTANCE,
        )
        assert status.Status == 0x0000
        _, report = self.kept.report(transaction)
        failed = {
            item.ReferencedSOPInstanceUID: int(item.FailureReason) for item in report.get("FailedSOPSequence", [])
        }
        return failed | {item.ReferencedSOPInstanceUID: 0 for item in report.get("ReferencedSOPSequence", [])}
