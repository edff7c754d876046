"""N-EVENT-REPORT (PS3.4 J.3.3): on the association of the request while that is open, else on one that we open.

As the requestor of that association we are still the service class provider, so we propose the SCP role for ourselves
(PS3.7 D.3.3.4: SCP/SCU role selection). A peer that does not answer the proposal gets the report all the same: many
accept it, and the others refuse it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence

from gantry.common.commitment.wire import TRANSFER_SYNTAXES, encode_event_information
from gantry.common.config.role_sections import Commitment
from gantry.common.dicom.standard.sop_classes import STORAGE_COMMITMENT
from gantry.common.errors import ConnectionFailed, PeerError
from gantry.common.events import CommitmentFailure, CommitmentReference, CommitmentRequested
from gantry.common.net import Association, Peer, connect, scu
from gantry.common.ul import RoleSelection

ALL_COMMITTED = 1
FAILURES_EXIST = 2

Contacts = Callable[[str, str], Peer | None]
"""(AE title of the requester, our AE title) to the peer to connect to; None if none is configured."""


class ReportRefused(PeerError):
    """The peer answered the report with a failure."""


class Reports:
    """Delivers reports."""

    def __init__(self, contacts: Contacts, settings: Commitment) -> None:
        self._contacts = contacts
        self._settings = settings
        self._calling: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def deliver_on(
        self, association: Association, request: CommitmentRequested, failures: Sequence[CommitmentFailure]
    ) -> None:
        """Report on the association of the request. Raises a `PeerError`."""
        await self._report(association, request, failures)

    async def deliver(self, request: CommitmentRequested, failures: Sequence[CommitmentFailure]) -> None:
        """Report once, on an association that we open; returns when the peer has accepted the report. Raises a
        `PeerError`, after which the caller may try again."""
        peer = self._contacts(request.calling_ae_title, request.called_ae_title)
        if peer is None:
            raise ConnectionFailed("the policy names no host and port for the requester")
        role = RoleSelection(STORAGE_COMMITMENT, False, True)
        proposed = [(STORAGE_COMMITMENT, TRANSFER_SYNTAXES)]
        # One association to a peer at a time: many reports may be due when the peer is reachable again.
        async with self._calling[peer.called_ae_title], connect(peer, proposed, roles=[role]) as association:
            await self._report(association, request, failures)

    async def _report(
        self, association: Association, request: CommitmentRequested, failures: Sequence[CommitmentFailure]
    ) -> None:
        contexts = association.contexts.values()
        context = next((cx for cx in contexts if cx.abstract_syntax == STORAGE_COMMITMENT), None)
        syntax = context.transfer_syntax if context is not None else TRANSFER_SYNTAXES[0]
        data = await asyncio.to_thread(_event_information, request, failures, syntax)
        event_type = FAILURES_EXIST if failures else ALL_COMMITTED
        timeout = self._settings.report_timeout
        response = await scu.report_commitment(association, event_type, data, timeout=timeout)
        if response.status:
            raise ReportRefused(f"the peer refused the report with status {response.status:04X}H")


def _event_information(request: CommitmentRequested, failures: Sequence[CommitmentFailure], syntax: str) -> bytes:
    failed = {CommitmentReference(f.sop_class_uid, f.sop_instance_uid) for f in failures}
    committed = [reference for reference in request.references if reference not in failed]
    return encode_event_information(request.transaction_uid, request.called_ae_title, committed, failures, syntax)
