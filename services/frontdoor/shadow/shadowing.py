"""Shadow mode of one archive behind the door: which associations are mirrored, within which limits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Container

from gantry.common.clock import Clock
from gantry.common.config.shadow_sections import ShadowSettings
from gantry.common.dicom.standard.sop_classes import (
    MODALITY_WORKLIST_FIND,
    PATIENT_ROOT_FIND,
    PATIENT_ROOT_GET,
    PATIENT_ROOT_MOVE,
    PATIENT_STUDY_ONLY_FIND,
    PATIENT_STUDY_ONLY_GET,
    PATIENT_STUDY_ONLY_MOVE,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
    VERIFICATION,
)
from gantry.common.ids import Receipt
from gantry.common.net.proxy import Origin
from gantry.common.ports.blobs import BlobStore
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.common.ul import AssociateRequest
from gantry.services.frontdoor.shadow.again import SecondLooks
from gantry.services.frontdoor.shadow.answers import tags_of
from gantry.services.frontdoor.shadow.asking import ComparedArchive
from gantry.services.frontdoor.shadow.keeping import Keeper
from gantry.services.frontdoor.shadow.mirror import ASSOCIATION, Mirror, Sides
from gantry.services.frontdoor.shadow.moves import Moves
from gantry.services.frontdoor.shadow.overhearing import STORE, Room
from gantry.services.frontdoor.shadow.recording import Recorder
from gantry.services.frontdoor.shadow.spooling.catching_up import DELAYS, CatchingUp
from gantry.services.frontdoor.shadow.spooling.heads import About
from gantry.services.frontdoor.shadow.spooling.spool import HALF_WRITTEN, Line, ShadowSpool, SpoolEntry
from gantry.services.frontdoor.shadow.spooling.stores import SpooledStores
from gantry.services.frontdoor.shadow.web import WebShadow
from gantry.services.frontdoor.shadow.web_stores import WebStores

logger = get_logger("shadow")
_DRAIN_SECONDS = 5.0
_LOOK_SECONDS = 5.0
_TAKE_OVER_SECONDS = 60.0
_FINDS = frozenset((PATIENT_ROOT_FIND, STUDY_ROOT_FIND, PATIENT_STUDY_ONLY_FIND))
_GETS = frozenset((PATIENT_ROOT_GET, STUDY_ROOT_GET, PATIENT_STUDY_ONLY_GET))
_MOVES = frozenset((PATIENT_ROOT_MOVE, STUDY_ROOT_MOVE, PATIENT_STUDY_ONLY_MOVE))
_CLASSES: dict[str, tuple[tuple[str, frozenset[str]], ...]] = {
    "C-ECHO": (("echo", frozenset((VERIFICATION,))),),
    "C-FIND": (("find", _FINDS), ("worklist", frozenset((MODALITY_WORKLIST_FIND,)))),
    "C-GET": (("get", _GETS),),
    "C-MOVE": (("move", _MOVES),),
    STORE: (),
}
"""The abstract syntaxes that are mirrored for each name in `door.shadow.asks`; C-STORE by the archive's classes."""


class Shadow:
    """Shadow mode. `mirror` is called at the start of each association; `run` saves the counts."""

    def __init__(
        self,
        settings: ShadowSettings,
        gantry: ComparedArchive,
        other: ComparedArchive | None,
        storage: Container[str],
        open_store: Callable[[], Awaitable[BlobStore]],
        clock: Clock,
        metrics: Metrics,
        partition: str = "",
    ) -> None:
        """`other` is None if only the other archive's DICOMweb is known. Raises `ConfigError`."""
        self._settings = settings
        self._storage = storage
        self._clock = clock
        self._room = Room(settings.memory_in_all << 20)
        self.recorder = Recorder(clock, metrics, partition)
        door = Receipt.at(clock.now_us()).id
        self.spool: ShadowSpool | None = None
        """The spool: requests that wait on disk for the shadow."""
        if settings.spool is not None:
            self.spool = ShadowSpool(settings.spool, settings.spool_bytes, partition, door, self._room, clock, metrics)
            self.spool.lost = self._lost
        self._keeper = Keeper(open_store, self.recorder, clock, settings.keep_days, door, self.spool)
        may_differ = tags_of(settings.may_differ)
        self._sides: Sides | None = None
        self._looks: SecondLooks | None = None
        self._moves: Moves | None = None
        if other is not None:
            self._sides = Sides(other, gantry) if settings.answers == "other" else Sides(gantry, other)
            self._looks = SecondLooks(gantry, other, settings, may_differ, self._room, self.recorder, clock)
            self._moves = Moves(gantry, other, settings, self._room, self.recorder, clock)
        self.web: WebShadow | None = None
        """The same over HTTP, if the other archive supports it."""
        self.web_stores: WebStores | None = None
        if settings.url is not None:
            self.web = WebShadow(settings, may_differ, self._room, self.recorder, clock)
            self.web_stores = WebStores(self.web, settings, self._room, self.recorder, self.spool)
        self._mirrors: set[Mirror] = set()
        self._catching_up: list[CatchingUp] = []
        if self.spool is not None and other is not None:
            sides = {side.name: side for side in (gantry, other)}
            stores = SpooledStores(self.spool, lambda name: sides[name], settings.timeout, self.recorder, clock)
            self._catching_up.append(CatchingUp(self.spool, "dimse", stores, self.recorder, clock, DELAYS))
        if self.spool is not None and self.web_stores is not None:
            self._catching_up.append(CatchingUp(self.spool, "http", self.web_stores, self.recorder, clock, DELAYS))
        self._owed = 0.0
        self._is_open = False

    @property
    def other_answers(self) -> bool:
        """Whether the other archive answers peers."""
        return self._settings.answers == "other"

    def mirror(self, request: AssociateRequest, origin: Origin) -> Mirror | None:
        """The mirror for a new association; None if it is not mirrored. Never raises."""
        try:
            return self._mirror(request, origin)
        except Exception as error:
            # A fault here must not affect the peer.
            logger.error("shadow failed", error=error)
            return None

    def _mirror(self, request: AssociateRequest, origin: Origin) -> Mirror | None:
        if self._sides is None or self._looks is None or self._moves is None:
            return None
        if not any(self._can_be_mirrored(context.abstract_syntax) for context in request.contexts):
            self.recorder.not_mirrored(ASSOCIATION)
            return None
        # Not at random: with a share of a quarter, every fourth.
        self._owed += self._settings.share
        if self._owed < 1.0:
            return None
        self._owed -= 1.0
        busy = sum(not mirror.is_put_off for mirror in self._mirrors) >= self._settings.associations
        line = self._line(request, origin)
        if busy and line is None:
            self.recorder.given_up("busy", request.calling_ae_title)
            return None
        mirror = Mirror(
            request,
            origin,
            self._sides,
            self._is_mirrored,
            self._settings,
            self._room,
            self._looks,
            self._moves,
            self.recorder,
            self._clock,
            line,
            "busy" if busy else "",
        )
        self._mirrors.add(mirror)
        self.recorder.opened()
        mirror.task = asyncio.get_running_loop().create_task(mirror.run())
        mirror.task.add_done_callback(lambda _: self._done(mirror))
        return mirror

    def _line(self, request: AssociateRequest, origin: Origin) -> Line | None:
        """The line of the spool for an association that may store; None without a spool."""
        if self.spool is None or not self.spool.is_open or self._sides is None:
            return None
        if not any(self._is_mirrored(STORE, context.abstract_syntax) for context in request.contexts):
            return None
        to = self._sides.shadow.name
        return self.spool.line(About("dimse", to, request.called_ae_title, request.calling_ae_title, origin))

    async def run(self) -> None:
        """Save the counts, and send what waits in the spool, for ever."""
        work = [self._keeper.run()]
        await self.open()
        if self.spool is not None:
            work += [self._look_after(self.spool), *(worker.run() for worker in self._catching_up)]
        tasks = [asyncio.ensure_future(coroutine) for coroutine in work]
        try:
            await asyncio.gather(*tasks)
        finally:
            await end_tasks(*tasks)

    async def open(self) -> None:
        """Open the spool before the first association; further calls do nothing."""
        spool = self.spool
        if spool is None or self._is_open:
            return
        self._is_open = True
        try:
            await spool.open()
        except Exception as error:
            # Peers must be served even without a spool.
            logger.error("shadow failed", error=error)

    def _lost(self, entry: SpoolEntry) -> None:
        self.recorder.given_up(entry.why, entry.line.about.calling, "the disk of the spool")

    async def _look_after(self, spool: ShadowSpool) -> None:
        take_over_at = self._clock.monotonic()
        while True:
            if self._clock.monotonic() >= take_over_at:
                take_over_at = self._clock.monotonic() + _TAKE_OVER_SECONDS
                await spool.open()
                await self._take_over(spool)
            before = self._clock.now_us() - int(self._settings.spool_hours * 3_600_000_000)
            for entry in await spool.look(before):
                self.recorder.given_up("expired", entry.line.about.calling)
            spool.tick()
            await self._clock.sleep(_LOOK_SECONDS)

    async def _take_over(self, spool: ShadowSpool) -> None:
        """Take over the spool of a process that still ran when this one began, as at the end of a rolling update."""
        leftovers = await spool.take_over()
        if leftovers is None:
            return
        self.recorder.took_over(leftovers.owners)
        for _ in range(leftovers.broken):
            self.recorder.given_up(HALF_WRITTEN, "", "it was not whole when its door ended")

    async def drained(self) -> None:
        """Wait until all requests are compared, but not for long."""
        if tasks := [mirror.task for mirror in self._mirrors if mirror.task is not None]:
            await asyncio.wait(tasks, timeout=_DRAIN_SECONDS)

    async def close(self) -> None:
        """Give up what is in progress, and save the counts."""
        looks = self._looks.tasks if self._looks is not None else ()
        moves = self._moves.tasks if self._moves is not None else ()
        await end_tasks(*(mirror.task for mirror in self._mirrors), *looks, *moves)
        if self.web_stores is not None:
            await self.web_stores.close()
        if self.web is not None:
            await self.web.close()
        if self.spool is not None:
            await self.spool.close()
        await self._keeper.close()

    def _done(self, mirror: Mirror) -> None:
        self._mirrors.discard(mirror)
        mirror.close()
        self.recorder.closed()

    def _can_be_mirrored(self, abstract_syntax: str) -> bool:
        return any(self._is_mirrored(operation, abstract_syntax) for operation in _CLASSES)

    def _is_mirrored(self, operation: str, abstract_syntax: str) -> bool:
        """Whether an operation is mirrored: only those without an effect outside the archive are."""
        asks = self._settings.asks
        if operation == STORE:
            return "store" in asks and abstract_syntax in self._storage
        return any(name in asks and abstract_syntax in classes for name, classes in _CLASSES.get(operation, ()))
