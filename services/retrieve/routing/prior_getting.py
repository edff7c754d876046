"""A prior fetched by C-GET (PS3.4 C.4.3): its missing instances come on an association that we opened, and are
committed, as in ingest, before each sub-operation is answered.

Received instances stay, however a C-GET ends: the next attempt asks for the rest.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gantry.common.access import EVERYTHING, restricted
from gantry.common.amounts import counted
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.identifiers import encode_identifier
from gantry.common.dicom.query.matching import Query, Single
from gantry.common.dicom.standard.sop_classes import STUDY_ROOT_FIND, STUDY_ROOT_GET, StorageClasses
from gantry.common.dicom.standard.tags import (
    QUERY_RETRIEVE_LEVEL,
    SERIES_INSTANCE_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
)
from gantry.common.errors import DependencyUnavailable, GantryError, PeerTimeout, QuotaReached
from gantry.common.events import RouteRequested
from gantry.common.net import Peer, Request, Service, Sink, connect
from gantry.common.net.getting import MOST_CONTEXTS, get_contexts, get_objects, usual_classes
from gantry.common.ports.index import ReadIndex
from gantry.common.ul import Abilities, Ability
from gantry.services.context import Intake
from gantry.services.retrieve.routing.prior_searching import Audit, PriorSearch, PriorsRefused
from gantry.services.retrieve.routing.priors import SYNTAXES, Prior, why_not

_SILENT = 600.0
"""Seconds without any bytes of an object after which a C-GET is aborted."""
_LONGEST = 7 * 24 * 3600.0
"""Timeout of a C-GET response in seconds: many archives send none before the last object."""
_PORTION = 100
"""SOP Instance UIDs in one identifier."""
_CLASSES = 8
"""Most SOP classes of one request: with more, the contexts would not suffice for each class in each transfer syntax."""

Identifier = dict[int, list[str]]


@dataclass(frozen=True, slots=True)
class GetRequest:
    """One C-GET: its identifier, and the SOP classes to expect; none if they are unknown."""

    identifier: Identifier
    classes: tuple[str, ...]


class CountingStorage:
    """Wraps the storage service of ingest: counts what it took, and knows why it refused the rest."""

    def __init__(self, taking: Service) -> None:
        self.abilities: Abilities = {}
        """What is proposed in the SCP role."""
        self._taking = taking
        self.taken = 0
        self.refusals: Counter[str] = Counter()
        self.is_ours = False
        """Whether a dependency of ours was unavailable, or we are full: then the archive is not at fault."""
        self.heard: Callable[[], None] = lambda: None
        """Called whenever bytes of an object arrive, and when an object was taken."""

    def receive(self, request: Request) -> Sink:
        return _CountingSink(self._taking.receive(request), self)

    async def perform(self, request: Request) -> None:
        """Store one object as ingest does."""
        if isinstance(request.sink, _CountingSink):
            request.sink = request.sink.sink
        self.heard()
        try:
            with restricted(EVERYTHING):
                await self._taking.perform(request)
        except GantryError as error:
            self.is_ours = self.is_ours or isinstance(error, DependencyUnavailable | QuotaReached)
            self.refusals[str(error)] += 1
            raise
        self.taken += 1
        self.heard()

    @property
    def words(self) -> str:
        """Why objects were refused here, the most frequent reason first; "" if none was."""
        return "; ".join(
            f"{counted(count, 'object')} not taken here: {why}" for why, count in self.refusals.most_common()
        )


class _CountingSink:
    def __init__(self, sink: Sink, arrivals: CountingStorage) -> None:
        self.sink = sink
        self._arrivals = arrivals

    def write(self, views: Sequence[memoryview]) -> bool:
        self._arrivals.heard()
        return self.sink.write(views)

    async def ready(self) -> None:
        await self.sink.ready()

    async def discard(self) -> None:
        await self.sink.discard()


class PriorGetter:
    """SCU of Study Root GET, with the storage SOP classes in the SCP role."""

    def __init__(
        self, intake: Intake, classes: StorageClasses, index: ReadIndex, timeout: float, audit: Audit, got: Audit
    ) -> None:
        """`classes` are those that are stored here. `timeout` of each response to C-FIND in seconds; `audit` is called
        for each C-FIND, `got` for each C-GET."""
        self._intake = intake
        self._classes = classes
        self._index = index
        self._timeout = timeout
        self._audit = audit
        self._got = got

    async def get(self, route: RouteRequested, peer: Peer, prior: Prior) -> str:
        """Fetch the missing instances of a study. Returns why that failed, "" if it did not. Raises `GantryError`;
        `DependencyUnavailable` if the fault is ours."""
        arrivals = CountingStorage(self._intake(route.destination, route.trace))
        reasons: list[str] = []
        for request in await self._requests(route, peer, prior):
            before = arrivals.taken, arrivals.refusals.total()
            why = await self._get(route, peer, request, arrivals)
            if arrivals.is_ours:
                raise DependencyUnavailable("what stores priors", arrivals.words)
            if not why and before == (arrivals.taken, arrivals.refusals.total()):
                why = "answered 0000H success to C-GET, and sent nothing"
            # If one request fails, the others are still made.
            reasons.append(why)
        return "; ".join(filter(None, (*dict.fromkeys(reasons), arrivals.words)))

    async def _get(self, route: RouteRequested, peer: Peer, request: GetRequest, arrivals: CountingStorage) -> str:
        keys, why = b"", ""
        classes = list(request.classes) or usual_classes()
        contexts = get_contexts(classes)
        arrivals.abilities = dict.fromkeys(classes, Ability())

        def encoded(syntax: str) -> bytes:
            nonlocal keys
            keys = encode_identifier(request.identifier, syntax)
            return keys

        try:
            async with asyncio.timeout(_SILENT) as silence:
                loop = asyncio.get_running_loop()
                arrivals.heard = lambda: silence.reschedule(loop.time() + _SILENT)
                final = await get_objects(
                    peer, arrivals, contexts, STUDY_ROOT_GET, lambda cx: encoded(cx.transfer_syntax), timeout=_LONGEST
                )
            why = why_not(final, "C-GET")
        except TimeoutError:
            why = f"sent nothing for {_SILENT:g} s"
            raise PeerTimeout(why) from None
        except GantryError as error:
            why = str(error)
            raise
        finally:
            arrivals.heard = lambda: None
            self._got((route.destination, peer.host), route.trace, keys, why)
        return why

    async def _requests(self, route: RouteRequested, peer: Peer, prior: Prior) -> list[GetRequest]:
        """The whole study if none of it is here, or if the archive does not list its instances; otherwise what is
        missing."""
        instances = await self._stored_instances(route.partition, prior.study_instance_uid)
        classes = tuple(uid for uid in prior.sop_classes if uid in self._classes)[:MOST_CONTEXTS]
        whole = {QUERY_RETRIEVE_LEVEL: ["STUDY"], STUDY_INSTANCE_UID: [prior.study_instance_uid]}
        if not instances:
            return [GetRequest(whole, classes)]
        try:
            async with connect(peer, [(STUDY_ROOT_FIND, SYNTAXES)]) as association:
                search = PriorSearch(association, route, peer, self._timeout, self._audit)
                matches = await search.instances(prior.study_instance_uid)
        except PriorsRefused:
            matches = {}
        missing = {uid: place for uid, place in matches.items() if uid not in instances}
        return list(requests_for(prior.study_instance_uid, missing, self._classes)) or [GetRequest(whole, classes)]

    async def _stored_instances(self, partition: str, study: str) -> set[str]:
        query = Query(partition, Level.STUDY, {STUDY_INSTANCE_UID: Single((study,))})
        with restricted(EVERYTHING):
            return {location.sop_instance_uid async for page in self._index.locate(query) for location in page}


def requests_for(study: str, missing: Mapping[str, tuple[str, str]], stored: Iterable[str]) -> Iterator[GetRequest]:
    """The requests for instances, each with its series and SOP class: by series (PS3.4 C.4.3.2.1), with few SOP classes
    in each. An instance of a class that is not `stored` here is requested with the others, and fails."""
    known = frozenset(stored)
    by_series: dict[str, dict[str, list[str]]] = {}
    for uid, (series, sop_class) in missing.items():
        by_class = by_series.setdefault(series, {})
        by_class.setdefault(sop_class if sop_class in known else "", []).append(uid)
    for series, by_class in by_series.items():
        for classes in _together(by_class):
            uids = [uid for sop_class in classes for uid in by_class[sop_class]]
            for portion in _portions(uids, _PORTION):
                identifier = {
                    QUERY_RETRIEVE_LEVEL: ["IMAGE"],
                    STUDY_INSTANCE_UID: [study],
                    SERIES_INSTANCE_UID: [series],
                    SOP_INSTANCE_UID: list(portion),
                }
                yield GetRequest(identifier, tuple(filter(None, classes)))


def _together(classes: Iterable[str]) -> Iterator[Sequence[str]]:
    """Instances of an unknown class are requested by themselves, since every class is proposed for them."""
    named = sorted(filter(None, classes))
    yield from _portions(named, _CLASSES)
    if "" in classes:
        yield [""]


def _portions(values: Sequence[str], most: int) -> Iterator[Sequence[str]]:
    return (values[start : start + most] for start in range(0, len(values), most))
