"""The spool: objects that wait on disk for the shadow. It is bounded, and written off the event loop.

The methods that the pump calls neither wait nor raise: bytes go into a queue, and a thread writes them. If the disk is
too slow or full, objects are given up, with a reason.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from gantry.common.clock import Clock
from gantry.common.ids import Receipt
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.common.telemetry.rate_limited import RateLimited
from gantry.services.frontdoor.shadow.overhearing import SPOOL_FULL, Room
from gantry.services.frontdoor.shadow.spooling import files
from gantry.services.frontdoor.shadow.spooling.heads import About, Head
from gantry.services.frontdoor.shadow.spooling.waiting import WaitingLines

logger = get_logger("shadow")
QUEUE_BYTES = 32 << 20
"""Bytes that may wait for the disk, beside `memory_in_all`."""
MOST_OBJECTS = 250_000
LEAST_CHARGE = 4096
"""Fewest bytes that an object counts: a block of the disk. A line counts two more, for its folder and its origin."""
_LINE_CHARGE = 2 * LEAST_CHARGE
_LEAST_HELD = 512
"""Fewest bytes that a piece counts in the queue."""
_OPEN_SECONDS, _CLOSE_SECONDS = 5.0, 10.0
_AT_A_TIME = 2000
"""Lines that are examined before other tasks get a turn."""
FAILED = "spool_failed"
HALF_WRITTEN = "half_written"
_AT_ONCE = 8 << 20
_STEPS_AT_ONCE = 256
KINDS = ("dimse", "http")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(slots=True)
class _Step:
    """One step for an object: the thread does `work`, then the loop continues. Afterwards `count` bytes of `held` are
    free. After a failed step, only steps with `always` are run for the object."""

    entry: SpoolEntry
    work: Callable[[], None]
    then: Callable[[], None] | None = None
    held: Room | None = None
    count: int = 0
    always: bool = False


class SpoolEntry:
    """One object. It is complete when `is_ready`; `why` is the reason if it was dropped."""

    __slots__ = (
        "_settling", "at", "is_finished", "is_ready", "is_told", "line", "number", "room", "size", "tries", "why",
        "writing", "written",
    )  # fmt: skip

    def __init__(self, line: Line, number: int, size: int = 0, at: int = 0, room: int = 0) -> None:
        self.line = line
        self.number = number
        self.size = size
        self.room = room
        """The part of `size` that its first bytes use without being charged again."""
        self.at = at
        """When it was added, in microseconds since the epoch."""
        self.is_ready = False
        self.why = ""
        self.tries = 0
        self.written = 0
        self.is_finished = False
        """Whether its head is written, or in the queue."""
        self.is_told = False
        """Whether it was counted as given up, after its mirror had skipped it."""
        self._settling: asyncio.Event | None = None
        self.writing: files.Writing | None = None

    async def settled(self) -> None:
        """Wait until it is ready or dropped."""
        if not self.is_ready and not self.why:
            self._settling = self._settling or asyncio.Event()
            await self._settling.wait()

    def settle(self) -> None:
        """Mark it as ready or dropped."""
        if self._settling is not None:
            self._settling.set()

    def write(self, data: bytes | bytearray, room: Room | None = None) -> bool:
        """Write the next bytes; False if there is no room. Bytes that were held in `room` are released there."""
        return self.line.spool.write(self, data, room)

    def finish(self, head: Head) -> None:
        """Its bytes are complete: write the head."""
        self.line.spool.finish(self, head)

    def drop(self, why: str) -> None:
        """Discard it."""
        self.line.spool.drop(self, why)


class Line:
    """The objects of one association, or one request, in order. While it is `live` a mirror sends them; while it is
    `open` more may be added."""

    __slots__ = ("about", "entries", "failures", "live", "name", "open", "spool")

    def __init__(self, spool: ShadowSpool, name: str, about: About) -> None:
        self.spool = spool
        self.name = name
        self.about = about
        self.entries: dict[int, SpoolEntry] = {}
        self.live = True
        self.open = True
        self.failures = 0

    @property
    def can_be_sent(self) -> bool:
        """Whether its first object is complete, and no mirror sends it."""
        return not self.live and self.head() is not None

    def begin(self, number: int) -> SpoolEntry | None:
        """Begin an object; None if there is no room."""
        return self.spool.begin(self, number)

    def head(self) -> SpoolEntry | None:
        """The first object of a line that was handed over, if it is complete."""
        first = next(iter(self.entries.values()), None)
        return first if first is not None and first.is_ready else None

    def hand_over(self) -> None:
        """End sending by the mirror; further objects are added behind the present ones."""
        self.live = False
        self.entries = dict(sorted(self.entries.items()))
        self.spool.tell(self)

    def end(self) -> list[SpoolEntry]:
        """End the line: drops and returns the objects that are incomplete and have no answer."""
        self.open = False
        if self.live:
            self.hand_over()
        return self.spool.ended(self)


class ShadowSpool:
    """The spool of one archive, in one process of the door."""

    def __init__(
        self, folder: Path, most: int, partition: str, owner: str, room: Room, clock: Clock, metrics: Metrics
    ) -> None:
        """At most `most` bytes. `room` is that of all associations together. The disk is not used before `open`."""
        self._folder = folder
        self._most = most
        self._kind = f"{partition or '_'}."
        self._owner = self._kind + owner
        self._clock = clock
        self._metrics = metrics
        self._partition = partition
        self._own = folder / self._owner
        self._lock = -1
        self._opening: asyncio.Future[int] | None = None
        self._queue = Room(QUEUE_BYTES)
        self._taken = Room(room.most, room)
        self._steps: deque[_Step] = deque()
        self._wanted = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._seldom = RateLimited()
        self.used = 0
        self.objects = 0
        self.lines: dict[str, Line] = {}
        self.oldest = 0
        """When the oldest object was added, in microseconds since the epoch; 0 without any. Updated by `look`."""
        self.waiting: dict[str, WaitingLines[Line]] = {kind: WaitingLines() for kind in KINDS}
        self.news = {kind: asyncio.Event() for kind in KINDS}
        """Set when there may be a line of a kind to send."""
        self.lost: Callable[[SpoolEntry], None] = lambda _: None
        """Called for objects that could not be written and that no mirror handles."""
        metrics.shadow_spool_limit_bytes.labels(partition).set(most)

    async def open(self) -> None:
        """Lock our folder. If that fails, or the disk does not answer in time, this is logged and there is no spool
        yet."""
        if self._lock >= 0:
            return
        loop = asyncio.get_running_loop()
        # A disk that hangs gets only one request; its answer is used by the next call.
        if self._opening is None:
            self._opening = loop.run_in_executor(self._threads, files.own_folder, self._folder, self._owner)
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                self._lock = await asyncio.shield(self._opening)
        except (OSError, TimeoutError) as error:
            if self._opening.done():
                self._opening = None
            times = self._seldom.times(("open", type(error).__name__), self._clock.monotonic())
            if times:
                why = str(error) or "the disk does not answer"
                folder = str(self._folder)
                logger.error("no spool: objects beyond memory are not mirrored", folder=folder, error=why, count=times)
            return
        self._opening = None
        self._writer = loop.create_task(self._write_all())

    async def take_over(self) -> files.SpoolContents | None:
        """Take over the lines of processes that have ended; None without a spool."""
        if not self.is_open:
            return None
        try:
            leftovers = await asyncio.to_thread(files.take_over, self._folder, self._kind, self._owner)
        except OSError as error:
            if self._seldom.times(("take over", str(error.errno)), self._clock.monotonic()):
                logger.error("the spool of other processes cannot be read", error=error)
            return None
        for leftover in leftovers.lines:
            line = Line(self, leftover.name, leftover.about)
            line.live = line.open = False
            for number, size, at in leftover.entries:
                entry = line.entries[number] = SpoolEntry(line, number, max(size, LEAST_CHARGE), at)
                entry.is_ready = True
                self.used += entry.size
                self.objects += 1
            self.lines[leftover.name] = line
            self.tell(line)
            self._tidy(line)
        return leftovers

    def tell(self, line: Line) -> None:
        """Note that the line may have an object to send."""
        self.waiting[line.about.kind].add(line)
        self.news[line.about.kind].set()

    async def close(self) -> None:
        """Write what is in the queue, and leave the spool to the next process."""
        writer, self._writer = self._writer, None
        if writer is not None:
            self._wanted.set()
            # A disk that hangs must not stop the door from ending.
            _, left = await asyncio.wait({writer}, timeout=_CLOSE_SECONDS)
            if left:
                logger.error("the spool was not written to its end", folder=str(self._folder), steps=len(self._steps))
                writer.cancel()
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.add_done_callback(_close_lock)
        self._threads.shutdown(wait=False)
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)

    @property
    def is_open(self) -> bool:
        """Whether objects can be added."""
        return self._writer is not None and not self._writer.done()

    async def look(self, before: int) -> list[SpoolEntry]:
        """Drop and return the objects added before a time (microseconds since the epoch), and update `oldest`."""
        entries: list[SpoolEntry] = []
        oldest = 0
        for number, line in enumerate(list(self.lines.values())):
            if number % _AT_A_TIME == _AT_A_TIME - 1:
                await self._clock.sleep(0)
            while not line.live and (first := line.head()) is not None and first.at < before:
                self.drop(first, "expired")
                entries.append(first)
            left = next(iter(line.entries.values()), None)
            if left is not None:
                oldest = min(oldest or left.at, left.at)
        self.oldest = oldest
        return entries

    def tick(self) -> None:
        """Update the metrics."""
        oldest = self.oldest
        age = max(0.0, (self._clock.now_us() - oldest) / 1e6) if oldest else 0.0
        for gauge, value in (
            (self._metrics.shadow_spool_bytes, self.used),
            (self._metrics.shadow_spool_objects, self.objects),
            (self._metrics.shadow_spool_oldest_seconds, age),
        ):
            gauge.labels(self._partition).set(value)

    # ---- what comes in

    def line(self, about: About) -> Line:
        """A new line for an association or a request; its folder is created with its first object."""
        return Line(self, Receipt.at(self._clock.now_us()).id, about)

    def begin(self, line: Line, number: int) -> SpoolEntry | None:
        """Begin an object of a line; None if there is no room."""
        charge = LEAST_CHARGE if line.name in self.lines else LEAST_CHARGE + _LINE_CHARGE
        if not self.is_open or self.objects >= MOST_OBJECTS or not self._charge(charge):
            return None
        entry = SpoolEntry(line, number, charge, self._clock.now_us(), LEAST_CHARGE)
        self.objects += 1
        line.entries[number] = entry
        self.lines[line.name] = line
        folder = self._own / line.name
        entry.writing = files.Writing(folder, number)
        self._enqueue(_Step(entry, lambda: files.make_line(folder, line.about)))
        return entry

    def write(self, entry: SpoolEntry, data: bytes | bytearray, room: Room | None) -> bool:
        """See `SpoolEntry.write`."""
        writing, count = entry.writing, len(data)
        if room is not None:
            room.give(count)
        if entry.why or writing is None:
            return False
        # We take over the room of an association at once, so that it ends without waiting for the disk. A peer that is
        # faster than the disk for a while uses the room that associations leave free.
        weight = max(count, _LEAST_HELD)
        held = self._queue if room is None and self._queue.take(weight) else None
        if held is None and self._taken.take(weight):
            held = self._taken
        if held is None or not self._grow(entry, count):
            if held is not None:
                held.give(weight)
            self.drop(entry, "fell_behind" if held is None else SPOOL_FULL)
            return False
        self._enqueue(_Step(entry, lambda: writing.append(data), None, held, weight))
        return True

    def finish(self, entry: SpoolEntry, head: Head) -> None:
        """See `SpoolEntry.finish`."""
        writing = entry.writing
        if entry.why or writing is None:
            return

        def ready() -> None:
            if not entry.why:
                entry.is_ready, entry.writing = True, None
                entry.settle()
                self.tell(entry.line)

        entry.is_finished = True
        self._enqueue(_Step(entry, lambda: writing.finish(head), ready))

    def drop(self, entry: SpoolEntry, why: str) -> None:
        """Remove an object that was sent or given up."""
        if entry.line.entries.pop(entry.number, None) is not entry:
            return
        entry.why = entry.why or why
        entry.is_ready = False
        entry.settle()
        self.used -= entry.size
        self.objects -= 1
        writing = entry.writing or files.Writing(self._own / entry.line.name, entry.number)
        self._enqueue(_Step(entry, writing.drop, always=True))
        self.waiting[entry.line.about.kind].add(entry.line)
        self._tidy(entry.line)

    def ended(self, line: Line) -> list[SpoolEntry]:
        """See `Line.end`. Objects that are only waiting for the disk count as complete."""
        unfinished = [entry for entry in line.entries.values() if not entry.is_ready and not entry.is_finished]
        for entry in unfinished:
            self.drop(entry, "unanswered")
        self._tidy(line)
        return unfinished

    # ---- what is sent

    def next(self, kind: str, now: float) -> Line | None:
        """A line whose first object can be sent now."""
        return self.waiting[kind].next(now)

    def put_off(self, line: Line, until: float) -> None:
        """Send nothing of the line before `until`, in seconds of `Clock.monotonic`."""
        self.waiting[line.about.kind].put_off(line, until)

    async def head_of(self, entry: SpoolEntry) -> Head | None:
        """The head of an object; None if it cannot be read, which drops the object."""
        try:
            return await asyncio.to_thread(files.read_head, self._own / entry.line.name, entry.number)
        except (OSError, ValueError) as error:
            self._unreadable(entry, error)
            return None

    async def opened(self, entry: SpoolEntry) -> tuple[files.SpooledSource, int] | None:
        """The bytes of an object, and their number; None if they cannot be read, which drops the object."""
        path = self._own / entry.line.name
        opening = asyncio.get_running_loop().run_in_executor(None, files.open_object, path, entry.number)
        try:
            return await asyncio.shield(opening)
        except (OSError, ValueError) as error:
            self._unreadable(entry, error)
            return None
        except asyncio.CancelledError:
            opening.add_done_callback(_close_source)
            raise

    # ---- the disk

    def _unreadable(self, entry: SpoolEntry, error: Exception) -> None:
        logger.warning("an object of the spool cannot be read", error=error)
        self.drop(entry, HALF_WRITTEN)

    def _charge(self, count: int) -> bool:
        if self.used + count > self._most:
            return False
        self.used += count
        return True

    def _grow(self, entry: SpoolEntry, count: int) -> bool:
        """Charge `count` bytes; the first ones are charged with the entry."""
        entry.written = entry.written + count
        more = max(0, entry.written - entry.room)
        if not self._charge(more):
            return False
        entry.size += more
        entry.room += more
        return True

    def _tidy(self, line: Line) -> None:
        if line.entries or line.open or self.lines.pop(line.name, None) is None:
            return
        entry = SpoolEntry(line, 0)
        entry.why = "ended"
        self._enqueue(_Step(entry, lambda: files.remove_line(self._own / line.name), always=True))

    def _enqueue(self, step: _Step) -> None:
        self._steps.append(step)
        self._wanted.set()

    async def _write_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._writer is not None or self._steps:
            if not self._steps:
                self._wanted.clear()
                await self._wanted.wait()
                continue
            steps: list[_Step] = []
            count = 0
            while self._steps and count < _AT_ONCE and len(steps) < _STEPS_AT_ONCE:
                steps.append(self._steps.popleft())
                count += steps[-1].count
            for step, error in zip(steps, await loop.run_in_executor(self._threads, _done, steps), strict=True):
                try:
                    self._after(step, error)
                except Exception as fault:
                    # One object must not stop the others.
                    logger.error("shadow failed", error=fault)

    def _after(self, step: _Step, error: OSError | None) -> None:
        if step.held is not None:
            step.held.give(step.count)
        if error is None:
            if step.then is not None:
                step.then()
            return
        entry = step.entry
        if entry.why:
            return
        times = self._seldom.times(("spool", str(error.errno)), self._clock.monotonic())
        if times:
            logger.error("the spool cannot be written", folder=str(self._folder), error=error, count=times)
        self.drop(entry, SPOOL_FULL if error.errno in _FULL else FAILED)
        if not entry.line.live:
            entry.is_told = True
            self.lost(entry)


def _done(steps: list[_Step]) -> list[OSError | None]:
    """Run the steps; returns the error of each, or None."""
    errors: list[OSError | None] = []
    failed: dict[int, OSError] = {}
    for step in steps:
        error = None if step.always else failed.get(id(step.entry))
        if error is None:
            try:
                step.work()
            except OSError as raised:
                error = failed[id(step.entry)] = raised
        errors.append(error)
    return errors


def _close_lock(opening: asyncio.Future[int]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        os.close(opening.result())


def _close_source(opening: asyncio.Future[tuple[files.SpooledSource, int]]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result()[0].close_now()
