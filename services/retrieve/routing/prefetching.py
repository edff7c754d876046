"""One attempt to fetch the priors for an order from another archive: C-FIND there, and C-MOVE to ourselves (PS3.4
C.4)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime

from gantry.common.access import EVERYTHING, restricted
from gantry.common.amounts import counted
from gantry.common.clock import Clock
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.identifiers import decode_identifier, encode_identifier
from gantry.common.dicom.query.matching import Query, Single
from gantry.common.dicom.standard.sop_classes import STUDY_ROOT_FIND, STUDY_ROOT_MOVE
from gantry.common.dicom.standard.tags import (
    NUMBER_OF_STUDY_RELATED_INSTANCES,
    QUERY_RETRIEVE_LEVEL,
    STUDY_INSTANCE_UID,
)
from gantry.common.dicom.standard.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN
from gantry.common.dimse import Element
from gantry.common.errors import ContextNotAccepted, DependencyUnavailable, GantryError, PeerError
from gantry.common.events import RouteRequested
from gantry.common.net import Association, Peer, connect, scu
from gantry.common.ports.index import ReadIndex
from gantry.common.ports.orders import OrderIndex
from gantry.common.runtime.order_follower import Follower
from gantry.common.statuses import SUCCESS, is_pending, status_words
from gantry.services.retrieve.routing.attempted import Attempted
from gantry.services.retrieve.routing.priors import Answer, Prior, PriorRule, Wanted, identifier, priors_in, wanted_of

SYNTAXES = [EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN]
_MOST_ANSWERS = 5_000
"""Studies of one patient that are looked at."""
_MOVE_SILENT = 600.0

Asked = Callable[[tuple[str, str], str, bytes, str], None]
"""AE title and host of who is asked, trace, identifier of the C-FIND, and why it failed."""


class PriorsRefused(PeerError):
    """The other archive answered with a failure."""


class Prefetcher:
    """SCU of Study Root Query/Retrieve, for orders as they are when it is tried."""

    def __init__(
        self,
        rules: Mapping[str, PriorRule],
        orders: OrderIndex,
        follower: Follower,
        index: ReadIndex,
        clock: Clock,
        ae_title: str,
        timeout: float,
        asked: Asked,
    ) -> None:
        """`rules` by name; `ae_title` is ours, to which the other archive is to send; `timeout` in seconds, for an
        answer to C-FIND. `asked` is told of each question."""
        self._rules = rules
        self._orders = orders
        self._follower = follower
        self._index = index
        self._clock = clock
        self._ae_title = ae_title
        self._timeout = timeout
        self._asked = asked

    async def attempt(
        self, route: RouteRequested, peer: Peer, taken: Collection[str], is_wanted: Callable[[], bool]
    ) -> Attempted:
        """Fetch what is not `taken` (Study Instance UIDs). What is at fault is in the answer, and nothing is raised for
        it."""
        try:
            rule, wanted = self._rules.get(route.rule), await self._wanted(route)
            if rule is None:
                return Attempted((), (), "there is no such rule any more")
            if wanted is None:
                return Attempted((), (), "nothing of the order is to come, or it does not say whose it is")
            async with connect(peer, [(STUDY_ROOT_FIND, SYNTAXES), (STUDY_ROOT_MOVE, SYNTAXES)]) as association:
                priors = await self._found(association, rule, wanted, (route, peer))
                missing = [one for one in priors if not await self._is_here(route.partition, one)]
                missing = [one for one in missing if one.study_instance_uid not in taken]
                if rule.dry_run or not missing:
                    return Attempted((), (), _words(priors, missing, dry_run=rule.dry_run), is_delivered=True)
                return await self._fetch(association, route, missing, is_wanted)
        except DependencyUnavailable as error:
            return Attempted((), None, str(error))
        except (ContextNotAccepted, PriorsRefused) as error:
            # It is there, and does not want to: what else waits for it need not wait for that.
            return Attempted((), (route.study_instance_uid,), f"{route.destination}: {error}", refused=True)
        except GantryError as error:
            return Attempted((), (route.study_instance_uid,), f"{route.destination}: {error}")

    async def _wanted(self, route: RouteRequested) -> Wanted | None:
        await self._follower.caught_up()
        known = await self._orders.order(route.partition, route.requestor)
        return None if known is None else wanted_of(*known)

    async def _found(
        self, association: Association, rule: PriorRule, wanted: Wanted, asked: tuple[RouteRequested, Peer]
    ) -> list[Prior]:
        route, peer = asked
        context = scu.need_context(association, STUDY_ROOT_FIND)
        keys = encode_identifier(identifier(wanted), context.transfer_syntax)
        answers: list[Answer] = []
        why = ""
        try:
            async for command, data in scu.find(association, STUDY_ROOT_FIND, keys, timeout=self._timeout):
                if is_pending(command.status):
                    if len(answers) < _MOST_ANSWERS:
                        answers.append(decode_identifier(data, context.transfer_syntax).keys)
                elif command.status != SUCCESS:
                    raise PriorsRefused(f"answered {status_words(command.status)} to C-FIND")
        except GantryError as error:
            why = str(error)
            raise
        finally:
            self._asked((route.destination, peer.host), route.trace, keys, why)
        today = datetime.fromtimestamp(self._clock.now_us() / 1e6, UTC).date()
        return priors_in(rule, wanted, answers, today)

    async def _is_here(self, partition: str, prior: Prior) -> bool:
        """Whether as much is here as there is, or something of it was deleted or rejected here, which is not brought
        back. Raises `DependencyUnavailable`."""
        query = Query(partition, Level.STUDY, {STUDY_INSTANCE_UID: Single((prior.study_instance_uid,))})
        with restricted(EVERYTHING):
            async for some in self._index.fated(partition, prior.study_instance_uid):
                if any(one.fate.hidden for one in some):
                    return True
            documents = [one async for page in self._index.find(query) for one in page]
        if not documents:
            return False
        here = int(next(iter(documents[0].attributes.get(NUMBER_OF_STUDY_RELATED_INSTANCES) or ()), 0))
        return prior.instances is None or here >= prior.instances

    async def _fetch(
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
        failed = [one.study_instance_uid for one in missing if one.study_instance_uid not in fetched]
        if not failed:
            return Attempted(fetched, (), "")
        refused = association.is_open
        return Attempted(fetched, failed, f"{route.destination}: {why or 'broken off'}", refused=refused)

    async def _move(self, association: Association, prior: Prior) -> str:
        """Have a study sent to us; why that failed, "" if it did not."""
        context = scu.need_context(association, STUDY_ROOT_MOVE)
        keys = {QUERY_RETRIEVE_LEVEL: ["STUDY"], STUDY_INSTANCE_UID: [prior.study_instance_uid]}
        data = encode_identifier(keys, context.transfer_syntax)
        async for command, _ in scu.move(association, STUDY_ROOT_MOVE, data, self._ae_title, timeout=_MOVE_SILENT):
            if is_pending(command.status):
                continue
            if command.status != SUCCESS:
                return f"answered {status_words(command.status)} to C-MOVE"
            if failed := command.number(Element.FAILED_SUB_OPERATIONS):
                return f"did not send {failed} objects of a prior"
        return ""


def _words(priors: list[Prior], missing: list[Prior], *, dry_run: bool) -> str:
    if not priors:
        return "it has no priors that the rule wants"
    if not missing:
        return f"all priors are here already: {len(priors)}"
    if not dry_run:
        return ""
    uids = ", ".join(one.study_instance_uid for one in missing)
    return f"dry run: would fetch {counted(len(missing), 'study', 'studies')}: {uids}"
