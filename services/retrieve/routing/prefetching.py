"""One attempt to fetch the priors for an order from another archive: C-FIND there, then C-MOVE to ourselves or C-GET
(PS3.4 C.4)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime

from gantry.common.access import EVERYTHING, restricted
from gantry.common.amounts import counted
from gantry.common.clock import Clock
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.identifiers import encode_identifier
from gantry.common.dicom.query.matching import Query, Single
from gantry.common.dicom.standard.sop_classes import STUDY_ROOT_FIND, STUDY_ROOT_MOVE
from gantry.common.dicom.standard.tags import (
    NUMBER_OF_STUDY_RELATED_INSTANCES,
    QUERY_RETRIEVE_LEVEL,
    STUDY_INSTANCE_UID,
)
from gantry.common.dimse import Command
from gantry.common.errors import ContextNotAccepted, DependencyUnavailable, GantryError
from gantry.common.events import RouteRequested
from gantry.common.net import Association, Peer, connect, scu
from gantry.common.ports.index import ReadIndex
from gantry.common.ports.orders import OrderIndex
from gantry.common.runtime.order_follower import Follower
from gantry.services.retrieve.routing.attempted import Attempted
from gantry.services.retrieve.routing.prior_getting import PriorGetter
from gantry.services.retrieve.routing.prior_searching import Audit, PriorSearch, PriorsRefused
from gantry.services.retrieve.routing.priors import (
    GET,
    MOVE,
    SYNTAXES,
    FutureOrder,
    Prior,
    PriorRule,
    body_parts_of,
    future_order_of,
    identifier,
    priors_in,
    shows,
    why_not,
)

_MOVE_SILENT = 600.0
_MOST_LOOKED_INTO = 100
"""Studies of one patient whose series are queried, the newest first."""


class Prefetcher:
    """SCU of Study Root Query/Retrieve, for orders as they are at the time of an attempt."""

    def __init__(
        self,
        rules: Mapping[str, PriorRule],
        orders: OrderIndex,
        follower: Follower,
        index: ReadIndex,
        clock: Clock,
        ae_title: str,
        timeout: float,
        audit: Audit,
        getter: PriorGetter | None = None,
    ) -> None:
        """`rules` by name; `ae_title` is ours, to which the other archive is to send; `timeout` of an answer to C-FIND
        in seconds. `audit` is called for each query; `getter` is for rules with `by: get`."""
        self._rules = rules
        self._orders = orders
        self._follower = follower
        self._index = index
        self._clock = clock
        self._ae_title = ae_title
        self._timeout = timeout
        self._audit = audit
        self._getter = getter

    async def attempt(
        self, route: RouteRequested, peer: Peer, taken: Collection[str], is_wanted: Callable[[], bool]
    ) -> Attempted:
        """Fetch the studies that are not `taken` (Study Instance UIDs). Failures are in the result, and are not
        raised."""
        try:
            rule, wanted = self._rules.get(route.rule), await self._future_order(route)
            if rule is None:
                return Attempted((), (), "there is no such rule any more")
            if wanted is None:
                return Attempted((), (), "nothing of the order is to come, or it does not say whose it is")
            contexts = [(STUDY_ROOT_FIND, SYNTAXES), *([] if rule.by == GET else [(STUDY_ROOT_MOVE, SYNTAXES)])]
            async with connect(peer, contexts) as association:
                search = PriorSearch(association, route, peer, self._timeout, self._audit)
                priors = await self._priors(search, rule, wanted)
                missing = [prior for prior in priors if not await self._is_here(route.partition, prior, search)]
                missing = [prior for prior in missing if prior.study_instance_uid not in taken]
                if rule.dry_run or not missing:
                    return Attempted((), (), _words(priors, missing, dry_run=rule.dry_run), is_delivered=True)
                if rule.by == MOVE:
                    return await self._move_all(association, route, missing, is_wanted)
            return await self._get_all(route, peer, missing, is_wanted)
        except DependencyUnavailable as error:
            return Attempted((), None, str(error))
        except (ContextNotAccepted, PriorsRefused) as error:
            # The archive answers, but refuses: other routes that wait for it need not be delayed.
            return Attempted((), (route.study_instance_uid,), f"{route.destination}: {error}", refused=True)
        except GantryError as error:
            return Attempted((), (route.study_instance_uid,), f"{route.destination}: {error}")

    async def _future_order(self, route: RouteRequested) -> FutureOrder | None:
        await self._follower.caught_up()
        known = await self._orders.order(route.partition, route.requestor)
        return None if known is None else future_order_of(*known)

    async def _priors(self, search: PriorSearch, rule: PriorRule, wanted: FutureOrder) -> list[Prior]:
        answers = await search.matches(identifier(wanted, rule.by))
        today = datetime.fromtimestamp(self._clock.now_us() / 1e6, UTC).date()
        priors, body_parts = priors_in(rule, wanted, answers, today), body_parts_of(rule, wanted)
        if not body_parts:
            return priors[: rule.most]
        matches: list[Prior] = []
        for prior in priors[:_MOST_LOOKED_INTO]:
            if shows(body_parts, await search.body_parts(prior.study_instance_uid)):
                matches.append(prior)
            if len(matches) == rule.most:
                break
        return matches

    async def _is_here(self, partition: str, prior: Prior, search: PriorSearch) -> bool:
        """Whether all of it is here, or part of it was deleted or rejected here, which is not fetched again. An archive
        that does not count is asked for its instances; one that does not answer that is assumed to have what is here.
        Raises `DependencyUnavailable`, and a `PeerError` of the network."""
        query = Query(partition, Level.STUDY, {STUDY_INSTANCE_UID: Single((prior.study_instance_uid,))})
        with restricted(EVERYTHING):
            async for receipts in self._index.find_decided(partition, prior.study_instance_uid):
                if any(receipt.deletion_state.hidden for receipt in receipts):
                    return True
            documents = [document async for page in self._index.find(query) for document in page]
        if not documents:
            return False
        count = int(next(iter(documents[0].attributes.get(NUMBER_OF_STUDY_RELATED_INSTANCES) or ()), 0))
        expected = prior.instances
        if expected is None:
            with suppress(PriorsRefused):
                expected = len(await search.instances(prior.study_instance_uid))
        return expected is None or count >= expected

    async def _move_all(
        self, association: Association, route: RouteRequested, missing: list[Prior], is_wanted: Callable[[], bool]
    ) -> Attempted:
        fetched: list[str] = []
        why = ""
        for prior in missing:
            if not is_wanted():
                break
            try:
                words = await self._move(association, prior)
            except GantryError as error:
                words = str(error)
            if not words:
                fetched.append(prior.study_instance_uid)
            why = why or words
            if not association.is_open:
                break
        return _attempted(route, missing, fetched, why, refused=association.is_open)

    async def _get_all(
        self, route: RouteRequested, peer: Peer, missing: list[Prior], is_wanted: Callable[[], bool]
    ) -> Attempted:
        """Get each study on an association of its own, for the SOP classes that are in it."""
        assert self._getter is not None, "there is one where a rule says `by: get`"
        fetched: list[str] = []
        why, refused = "", True
        for prior in missing:
            if not is_wanted():
                break
            try:
                words = await self._getter.get(route, peer, prior)
            except (ContextNotAccepted, PriorsRefused) as error:
                words = str(error)
            except GantryError as error:
                # The archive is unavailable, or one of our stores is: that is not an answer of the archive.
                why, refused = str(error), False
                break
            if not words:
                fetched.append(prior.study_instance_uid)
            why = why or words
        return _attempted(route, missing, fetched, why, refused=refused)

    async def _move(self, association: Association, prior: Prior) -> str:
        """Have a study sent to us. Returns why that failed, "" if it did not."""
        context = scu.need_context(association, STUDY_ROOT_MOVE)
        keys = {QUERY_RETRIEVE_LEVEL: ["STUDY"], STUDY_INSTANCE_UID: [prior.study_instance_uid]}
        data = encode_identifier(keys, context.transfer_syntax)
        final: Command | None = None
        async for command, _ in scu.move(association, STUDY_ROOT_MOVE, data, self._ae_title, timeout=_MOVE_SILENT):
            final = command
        return why_not(final, "C-MOVE")


def _attempted(
    route: RouteRequested, missing: list[Prior], fetched: list[str], why: str, *, refused: bool
) -> Attempted:
    failed = [prior.study_instance_uid for prior in missing if prior.study_instance_uid not in fetched]
    if not failed:
        return Attempted(fetched, (), "")
    return Attempted(fetched, failed, f"{route.destination}: {why or 'broken off'}", refused=refused)


def _words(priors: list[Prior], missing: list[Prior], *, dry_run: bool) -> str:
    if not priors:
        return "it has no priors that the rule wants"
    if not missing:
        return f"all priors are here already: {len(priors)}"
    if not dry_run:
        return ""
    uids = ", ".join(prior.study_instance_uid for prior in missing)
    return f"dry run: would fetch {counted(len(missing), 'study', 'studies')}: {uids}"
