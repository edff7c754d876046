"""N-EVENT-REPORT (PS3.4 J.3.3): on the association of the request while that is open, else on one of our own.

On our own association we are its requestor and still the service class provider, so the SCP role is proposed for
ourselves (PS3.7 D.3.3.4: SCP/SCU role selection). A peer that does not answer the proposal gets the report all the
same: many take it, and one that does not refuses it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from libs.common.clock import Clock
from libs.common.config.settings import Commitment
from libs.common.errors import ConnectionFailed, PeerError
from libs.common.events import CommitmentFailure, CommitmentReference, CommitmentRequested
from libs.common.net import Association, Peer, connect, scu
from libs.common.telemetry.logs import get_logger
from libs.common.ul import RoleSelection
from services.commitment.wire import TRANSFER_SYNTAXES, encode_event_information

ALL_COMMITTED = 1
FAILURES_EXIST = 2

Contacts = Callable[[str, str], Peer | None]
"""(AE title of the requester, our AE title) to whom to call; None where nothing is configured."""

_ANSWER_WAIT_SECONDS = 30.0


class ReportRefused(PeerError):
    """The peer answered the report with a failure."""


@dataclass(slots=True)
class _Asked:
    association: Association
    until: float
    answered: asyncio.Event


class Reports:
    """Delivers reports, and knows on which associations they were asked for."""

    def __init__(self, contacts: Contacts, clock: Clock, settings: Commitment) -> None:
        self._contacts = contacts
        self._clock = clock
        self._settings = settings
        self._asked: dict[str, _Asked] = {}
        self._calling: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._said = get_logger("commitment")

    def asked_on(self, transaction_uid: str, association: Association) -> None:
        """A request came on this association and is about to become an event. No report goes out before `answered`."""
        until = self._clock.monotonic() + self._settings.same_association_wait
        self._asked = {uid: asked for uid, asked in self._asked.items() if asked.association.is_open}
        self._asked[transaction_uid] = _Asked(association, until, asyncio.Event())

    def answered(self, transaction_uid: str) -> None:
        """The N-ACTION response has been sent, or never will be."""
        asked = self._asked.get(transaction_uid)
        if asked is not None:
            asked.answered.set()

    async def deliver(self, request: CommitmentRequested, failures: Sequence[CommitmentFailure]) -> None:
        """Report once; returns when the peer has taken it. Raises a `PeerError`, after which to try again."""
        asked = self._asked.get(request.transaction_uid)
        if asked is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(asked.answered.wait(), _ANSWER_WAIT_SECONDS)
            if asked.association.is_open and self._clock.monotonic() < asked.until:
                try:
                    await self._report(asked.association, request, failures)
                    del self._asked[request.transaction_uid]
                    return
                except PeerError as error:
                    self._said.info("no report on the requesting association", error=error)
            self._asked.pop(request.transaction_uid, None)
        peer = self._contacts(request.calling_ae_title, request.called_ae_title)
        if peer is None:
            raise ConnectionFailed("the policy names no host and port for the requester")
        role = RoleSelection(scu.STORAGE_COMMITMENT, False, True)
        proposed = [(scu.STORAGE_COMMITMENT, TRANSFER_SYNTAXES)]
        # One association to a peer at a time: many reports may be due when it comes back.
        async with self._calling[peer.called_ae_title], connect(peer, proposed, roles=[role]) as association:
            await self._report(association, request, failures)

    async def _report(
        self, association: Association, request: CommitmentRequested, failures: Sequence[CommitmentFailure]
    ) -> None:
        contexts = association.contexts.values()
        context = next((cx for cx in contexts if cx.abstract_syntax == scu.STORAGE_COMMITMENT), None)
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
