"""One attempt to get storage commitment from a destination; we are the service class user (PS3.4 J.3.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence

from gantry.common.clock import Clock
from gantry.common.commitment.requested import RequestedTransaction, transaction_of
from gantry.common.commitment.wire import TRANSFER_SYNTAXES, encode_action_information
from gantry.common.dicom.standard.sop_classes import STORAGE_COMMITMENT
from gantry.common.errors import ContextNotAccepted, PeerError
from gantry.common.events import CommitmentReference, RouteRequested
from gantry.common.net import Peer, connect, scu
from gantry.common.ports.index import Location
from gantry.common.runtime.backoff import Delays
from gantry.common.runtime.elsewhere import Before, Elsewhere
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.common.statuses import DUPLICATE_TRANSACTION_UID, SUCCESS, is_warning, status_words
from gantry.services.reported import ReportsOnOurs
from gantry.services.retrieve.routing.attempted import Attempted

_MOST_ASKED = 10_000
"""Most instances in one transaction; more of a study are asked for afterwards."""
_LONGEST_WITHIN = 24 * 3600.0


class CommitmentRequestor:
    """Requests commitment. An interrupted try is repeated with the same Transaction UID."""

    def __init__(
        self,
        elsewhere: Elsewhere,
        clock: Clock,
        timeout: float,
        wait: float,
        within: float,
        delays: Delays,
        refused: int,
    ) -> None:
        """Times in seconds: `timeout` for an answer to N-ACTION, `wait` for a report on the same association, `within`
        for any report; `delays` between a report with failures and the next try. After `refused` such reports a route
        has failed."""
        self._elsewhere = elsewhere
        self._clock = clock
        self._timeout = timeout
        self._wait = wait
        self._within = Delays(within, max(within, _LONGEST_WITHIN))
        self._delays = delays
        self._refused = refused

    async def before(self, route: RouteRequested, tried: int) -> Before | None:
        """The last transaction of a route that has been `tried` this many times. Raises `DependencyUnavailable`."""
        # A report counts as one more try, so the last one is up to two tries back.
        for number in range(tried - 1, max(tried - 3, -1), -1):
            before = await self._elsewhere.before(transaction_of(route.route, number))
            if before is not None:
                return before
        return None

    async def attempt(
        self,
        route: RouteRequested,
        peer: Peer,
        locations: Sequence[Location],
        tried: int,
        before: Before | None,
        uid_of: Callable[[str], str] | None = None,
    ) -> Attempted:
        """Ask for some instances; de-identified ones under the UIDs that `uid_of` returns. Raises
        `DependencyUnavailable`; failures of the destination are in the result."""
        transaction = self._transaction(route, locations, tried, before, uid_of)
        await self._elsewhere.ask(transaction)
        await reach(FailPoint.BEFORE_PUBLISH)
        uids = [location.sop_instance_uid for location in locations]
        reports = ReportsOnOurs(self._elsewhere, len(transaction.references))
        try:
            async with connect(peer, [(STORAGE_COMMITMENT, TRANSFER_SYNTAXES)], services=[reports]) as association:
                context = scu.need_context(association, STORAGE_COMMITMENT)
                information = await asyncio.to_thread(
                    encode_action_information, transaction.transaction_uid, transaction.as_sent, context.transfer_syntax
                )
                response = await scu.request_commitment(association, information, timeout=self._timeout)
                taken = _is_taken(response.status) and await reports.wait(
                    transaction.transaction_uid, self._wait, association.ended
                )
        except ContextNotAccepted as error:
            return Attempted((), uids, f"{route.destination}: {error}", refused=True)
        except PeerError as error:
            if await self._is_answered(transaction):
                return _answered(uids)
            return Attempted((), uids, f"{route.destination}: {error}")
        if not _is_taken(response.status):
            words = status_words(response.status)
            return Attempted((), uids, f"{route.destination} answered {words} to N-ACTION", refused=True)
        if taken:
            return _answered(uids)
        why = f"{route.destination} was asked for storage commitment of {len(transaction.references)} instances"
        why += " and has not reported"
        return Attempted((), uids, why, waits=self._within.after(tried))

    async def _is_answered(self, transaction: RequestedTransaction) -> bool:
        before = await self._elsewhere.before(transaction.transaction_uid)
        return before is not None and before.answered is not None

    def _transaction(
        self,
        route: RouteRequested,
        locations: Sequence[Location],
        tried: int,
        before: Before | None,
        uid_of: Callable[[str], str] | None,
    ) -> RequestedTransaction:
        batch = locations[:_MOST_ASKED]
        failures = failures_of(before)
        return RequestedTransaction(
            transaction_of(route.route, tried),
            *(route.partition, route.trace, route.study_instance_uid, route.route, route.destination),
            tried,
            failures,
            self._clock.now_us(),
            int(self._delays.after(failures) * 1e6),
            len(batch) == len(locations),
            failures + 1 >= self._refused,
            tuple(CommitmentReference(location.sop_class_uid, location.sop_instance_uid) for location in batch),
            tuple(location.digest for location in batch),
            () if uid_of is None else tuple(uid_of(location.sop_instance_uid) for location in batch),
        )


def failures_of(before: Before | None) -> int:
    """How many reports on a route have named failures."""
    if before is None:
        return 0
    failed = before.answered is not None and bool(before.answered.failures)
    return before.asked.failures_before + int(failed)


def not_committed(before: Before | None) -> Mapping[str, int]:
    """The instances that the destination reported missing, by SOP Instance UID, with the reason: they are sent
    again."""
    if before is None or before.answered is None:
        return {}
    return {failure.sop_instance_uid: failure.reason for failure in before.answered.failures}


def _is_taken(status: int) -> bool:
    """PS3.4 J.3.2.1.4. A transaction that the destination knows already is this one, from a try that was cut off."""
    return status in (SUCCESS, DUPLICATE_TRANSACTION_UID) or is_warning(status)


def _answered(uids: Collection[str]) -> Attempted:
    return Attempted((), uids, "", answered=True)
