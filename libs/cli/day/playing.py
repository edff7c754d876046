"""Plays a planned day: modalities send, workstations search and fetch, each on its own associations."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from gantry.cli.day.images import ImageSource, images, patient_id
from gantry.cli.day.plan import PlannedStudy
from gantry.cli.identifiers import BOTH, identifier
from gantry.cli.query import find_all
from gantry.cli.retrieve import get_to
from gantry.common.clock import Clock
from gantry.common.dicom.standard.sop_classes import STUDY_ROOT_FIND, STUDY_ROOT_GET
from gantry.common.dicom.standard.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN
from gantry.common.dimse import CommandField
from gantry.common.errors import GantryError
from gantry.common.ids import new_uid
from gantry.common.net import Peer, Request, Sink, connect, scu
from gantry.common.net.getting import get_contexts
from gantry.common.statuses import SUCCESS, UNRECOGNISED_OPERATION, status_words
from gantry.common.ul import Ability

_ATTEMPTS = 10
_PAUSE = 2.0


@dataclass(slots=True)
class Result:
    """The measurements: seconds by operation, errors by operation and reason, images and bytes."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    errors: Counter[tuple[str, str]] = field(default_factory=Counter)
    sent: int = 0
    sent_bytes: int = 0
    fetched: int = 0
    fetched_bytes: int = 0
    given_up: int = 0
    late: float = 0.0
    """The longest delay behind the plan, in seconds. If it is large, this machine is the limit, not the archive."""

    def add_seconds(self, operation: str, seconds: float) -> None:
        """Record the duration of one operation."""
        self.seconds.setdefault(operation, []).append(seconds)


class _Counting:
    """A workstation's storage service: counts the objects and discards them."""

    def __init__(self, sop_class: str) -> None:
        self.abilities = {sop_class: Ability()}
        self.images = 0
        self.bytes = 0

    def receive(self, request: Request) -> Sink:
        return _Nothing(self)

    async def perform(self, request: Request) -> None:
        if request.command.field != CommandField.C_STORE_RQ:
            await request.fail(UNRECOGNISED_OPERATION, "only C-STORE is served here")
            return
        self.images += 1
        await request.respond(SUCCESS)


class _Nothing:
    def __init__(self, counting: _Counting) -> None:
        self._counting = counting

    def write(self, views: Sequence[memoryview]) -> bool:
        self._counting.bytes += sum(map(len, views))
        return True

    async def ready(self) -> None:
        return None

    async def discard(self) -> None:
        return None


class Playing:
    """Plays a day at `speed` times real time."""

    def __init__(self, peer: Peer, clock: Clock, speed: float, timeout: float, date: str, at_once: int) -> None:
        """`at_once` limits the modalities, and the workstations, that work at once."""
        self.result = Result()
        self._peer = peer
        self._clock = clock
        self._speed = speed
        self._timeout = timeout
        self._date = date
        self._modalities = asyncio.Semaphore(at_once)
        self._workstations = asyncio.Semaphore(at_once)

    async def play(self, planned: Sequence[PlannedStudy], done: Callable[[], None] = lambda: None) -> Result:
        """Play the whole plan; `done` is called after each study is sent. Returns after the last viewing."""
        if not planned:
            return self.result
        first, begun = planned[0].at, self._clock.monotonic()
        async with asyncio.TaskGroup() as group:
            for study in planned:
                due = begun + (study.at - first) / self._speed
                await self._clock.sleep(max(0.0, due - self._clock.monotonic()))
                group.create_task(self._study(study, due, done))
        return self.result

    async def _study(self, study: PlannedStudy, due: float, done: Callable[[], None]) -> None:
        uid = new_uid()
        async with self._modalities:
            self.result.late = max(self.result.late, self._clock.monotonic() - due)
            whole = await self._send(study, uid)
        done()
        if whole:
            async with asyncio.TaskGroup() as group:
                for after in study.looked_at_after:
                    group.create_task(self._look(study, uid, after / self._speed))

    async def _send(self, study: PlannedStudy, uid: str) -> bool:
        """Send a study as a modality does: images that are not acknowledged are sent again, a few times. Returns
        whether all images were acknowledged."""
        left = images(study, uid, self._date)
        image = next(left, None)
        begun = self._clock.monotonic()
        for _ in range(_ATTEMPTS):
            with suppress(_Interrupted):
                called = self._clock.monotonic()
                try:
                    contexts = [(study.modality.sop_class, (EXPLICIT_LITTLE_ENDIAN,))]
                    async with connect(self._peer, contexts) as association:
                        self.result.add_seconds("association", self._clock.monotonic() - called)
                        context = scu.need_context(association, study.modality.sop_class)
                        while image is not None:
                            start, source = self._clock.monotonic(), ImageSource(image)
                            response = await scu.store(
                                association,
                                context,
                                image.sop_instance_uid,
                                source,
                                image.length,
                                timeout=self._timeout,
                            )
                            if response.status and response.status >> 12 != 0xB:
                                self.result.errors["store", status_words(response.status)] += 1
                                raise _Interrupted
                            self.result.add_seconds("store", self._clock.monotonic() - start)
                            self.result.sent += 1
                            self.result.sent_bytes += image.length
                            image = next(left, None)
                    self.result.add_seconds("study sent", self._clock.monotonic() - begun)
                    return True
                except GantryError as error:
                    self.result.errors["store", str(error)] += 1
            await self._clock.sleep(_PAUSE)
        self.result.given_up += 1
        return False

    async def _look(self, study: PlannedStudy, uid: str, after: float) -> None:
        """View a study as a workstation does: find the patient's studies, and fetch this one."""
        await self._clock.sleep(after)
        async with self._workstations:
            try:
                begun = self._clock.monotonic()
                async with connect(self._peer, [(STUDY_ROOT_FIND, BOTH)]) as association:
                    query = identifier("STUDY", [f"PatientID={patient_id(study.patient)}", "StudyInstanceUID"])
                    _, status, comment = await find_all(association, STUDY_ROOT_FIND, query, timeout=self._timeout)
                if status:
                    self.result.errors["find", ": ".join(filter(None, (status_words(status), comment)))] += 1
                    return
                self.result.add_seconds("find", self._clock.monotonic() - begun)
                await self._fetch(study, uid)
            except GantryError as error:
                self.result.errors["look", str(error)] += 1

    async def _fetch(self, study: PlannedStudy, uid: str) -> None:
        begun, service = self._clock.monotonic(), _Counting(study.modality.sop_class)
        contexts = get_contexts([study.modality.sop_class])
        keys = [f"StudyInstanceUID={uid}"]
        final = await get_to(self._peer, service, contexts, STUDY_ROOT_GET, "STUDY", keys, timeout=self._timeout)
        self.result.fetched += service.images
        self.result.fetched_bytes += service.bytes
        if final is None or final.status:
            self.result.errors["get", "no answer" if final is None else status_words(final.status)] += 1
        elif service.images < study.images:
            self.result.errors["get", f"{service.images} images received of {study.images} stored"] += 1
        else:
            self.result.add_seconds("study fetched", self._clock.monotonic() - begun)


class _Interrupted(Exception):
    """An image was refused; the modality will try again later."""
