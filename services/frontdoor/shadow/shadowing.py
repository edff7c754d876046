"""Shadow mode of one archive behind the door: which associations are mirrored, within which limits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Container

from gantry.common.clock import Clock
from gantry.common.config.shadow_sections import ShadowSettings
from gantry.common.dicom.standard.sop_classes import (
    PATIENT_ROOT_FIND,
    PATIENT_ROOT_GET,
    PATIENT_STUDY_ONLY_FIND,
    PATIENT_STUDY_ONLY_GET,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    VERIFICATION,
)
from gantry.common.net.proxy import Origin
from gantry.common.ports.blobs import BlobStore
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.common.ul import AssociateRequest
from gantry.services.frontdoor.shadow.again import SecondLooks
from gantry.services.frontdoor.shadow.answers import tags_of
from gantry.services.frontdoor.shadow.asking import Side
from gantry.services.frontdoor.shadow.keeping import Keeper
from gantry.services.frontdoor.shadow.mirror import ASSOCIATION, Mirror, Sides
from gantry.services.frontdoor.shadow.overhearing import Room
from gantry.services.frontdoor.shadow.recording import Recorder
from gantry.services.frontdoor.shadow.web import WebShadow

logger = get_logger("shadow")
_DRAIN_SECONDS = 5.0
_FINDS = frozenset((PATIENT_ROOT_FIND, STUDY_ROOT_FIND, PATIENT_STUDY_ONLY_FIND))
_GETS = frozenset((PATIENT_ROOT_GET, STUDY_ROOT_GET, PATIENT_STUDY_ONLY_GET))


class Shadow:
    """`mirror` begins with an association; `run` saves the counts."""

    def __init__(
        self,
        settings: ShadowSettings,
        gantry: Side,
        other: Side | None,
        storage: Container[str],
        open_store: Callable[[], Awaitable[BlobStore]],
        clock: Clock,
        metrics: Metrics,
        partition: str = "",
    ) -> None:
        """`other` is None where only its DICOMweb is known. Raises `ConfigError`."""
        self._settings = settings
        self._storage = storage
        self._asks = frozenset(f"C-{name.upper()}" for name in settings.asks)
        self._clock = clock
        self._room = Room(settings.memory_in_all << 20)
        self.recorder = Recorder(clock, metrics, partition)
        self._keeper = Keeper(open_store, self.recorder, clock, settings.keep_days)
        may_differ = tags_of(settings.may_differ)
        self._sides: Sides | None = None
        self._looks: SecondLooks | None = None
        if other is not None:
            self._sides = Sides(other, gantry) if settings.answers == "other" else Sides(gantry, other)
            self._looks = SecondLooks(gantry, other, settings, may_differ, self._room, self.recorder, clock)
        self.web: WebShadow | None = None
        """The same over HTTP, where the other archive has it."""
        if settings.url is not None:
            self.web = WebShadow(settings, may_differ, self._room, self.recorder, clock)
        self._mirrors: set[Mirror] = set()
        self._owed = 0.0

    @property
    def other_answers(self) -> bool:
        """Whether peers hear the other archive."""
        return self._settings.answers == "other"

    def mirror(self, request: AssociateRequest, origin: Origin) -> Mirror | None:
        """The mirror of an association that begins, None where it is not mirrored. Never raises."""
        try:
            return self._mirror(request, origin)
        except Exception as error:
            # The peer must not notice.
            logger.error("shadow failed", error=error)
            return None

    def _mirror(self, request: AssociateRequest, origin: Origin) -> Mirror | None:
        if self._sides is None or self._looks is None:
            return None
        if not any(self._can_be_mirrored(context.abstract_syntax) for context in request.contexts):
            self.recorder.not_mirrored(ASSOCIATION)
            return None
        # Without chance: of a share of a quarter, each fourth.
        self._owed += self._settings.share
        if self._owed < 1.0:
            return None
        self._owed -= 1.0
        if len(self._mirrors) >= self._settings.associations:
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
            self.recorder,
            self._clock,
        )
        self._mirrors.add(mirror)
        self.recorder.opened()
        mirror.task = asyncio.get_running_loop().create_task(mirror.run())
        mirror.task.add_done_callback(lambda _: self._done(mirror))
        return mirror

    async def run(self) -> None:
        """Save the counts, for ever."""
        await self._keeper.run()

    async def drained(self) -> None:
        """Return when what peers asked was compared, or after a while: nobody waits long for it."""
        if tasks := [mirror.task for mirror in self._mirrors if mirror.task is not None]:
            await asyncio.wait(tasks, timeout=_DRAIN_SECONDS)

    async def close(self) -> None:
        """Give up what is under way, and save the counts."""
        looks = self._looks.tasks if self._looks is not None else ()
        await end_tasks(*(mirror.task for mirror in self._mirrors), *looks)
        if self.web is not None:
            await self.web.close()
        await self._keeper.close()

    def _done(self, mirror: Mirror) -> None:
        self._mirrors.discard(mirror)
        mirror.close()
        self.recorder.closed()

    def _can_be_mirrored(self, abstract_syntax: str) -> bool:
        return any(self._is_mirrored(operation, abstract_syntax) for operation in self._asks)

    def _is_mirrored(self, operation: str, abstract_syntax: str) -> bool:
        """What has no effect but in the archive that is asked."""
        if operation not in self._asks:
            return False
        if operation == "C-ECHO":
            return abstract_syntax == VERIFICATION
        if operation == "C-FIND":
            return abstract_syntax in _FINDS
        if operation == "C-GET":
            return abstract_syntax in _GETS
        return abstract_syntax in self._storage
