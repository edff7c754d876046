"""Objects opened for sending are de-identified in a worker, through an unnamed file."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gantry.common.deidentify.objects import Deidentifier
from gantry.common.deidentify.options import Option
from gantry.common.errors import NotDeidentified
from gantry.services.retrieve.budget import Budget
from gantry.services.retrieve.opening import Opened
from gantry.services.retrieve.pixels.pool import ConversionFailed, PoolLimits, WorkerPool
from gantry.services.retrieve.pixels.spool import JobSpool, SpoolSource

WORK = ("gantry.services.retrieve.deidentifying.work", "deidentify")
_SPOOLED = 8 << 30
_PATIENCE = 60.0
# Addresses, not memory: a worker maps the object that it reads.
_LIMITS = PoolLimits(deadline=600.0, memory=12 << 30)
_MORE = 1 << 20
"""What de-identification may add to an object: its own description, and pseudonyms longer than the values they
replace."""


class Deidentification:
    """The workers of one process, and the room for what they read and write: `spooled` bytes of temporary files."""

    def __init__(self, workers: int = 2, spooled: int = _SPOOLED, limits: PoolLimits = _LIMITS) -> None:
        self.pool = WorkerPool(workers, limits)
        self.budget = Budget(spooled)

    async def close(self) -> None:
        """End the workers."""
        await self.pool.close()


@dataclass(frozen=True, slots=True)
class Deidentifying:
    """`gantry.services.retrieve.dimse.suboperations.Deidentifies`, by one profile."""

    profile: str
    deidentifier: Deidentifier
    deidentification: Deidentification

    def uid(self, uid: str) -> str:
        """The SOP Instance UID under which an object is sent."""
        if Option.UIDS in self.deidentifier.profile.options:
            return uid
        return self.deidentifier.pseudonyms.uid(uid)

    async def deidentified(self, opened: Opened, client: str, *, ahead: bool) -> Opened:
        """The de-identified object; `opened` is closed. The digest of what was read is compared before a byte of the
        result can be sent. Raises `NotDeidentified` if it must not be sent, `Unavailable` and `Damaged`."""
        try:
            room = 2 * opened.size + _MORE
            budget = self.deidentification.budget
            if room > budget.limit:
                raise NotDeidentified(f"it has {opened.size} bytes, more than can be de-identified here")
            if ahead:
                budget.take_spare(room)
            else:
                await budget.wait(room, _PATIENCE)
            try:
                out = await self._written(opened, client)
            except BaseException:
                budget.give_back(room)
                raise
        finally:
            await opened.source.close()
        left = min(room, out.size)
        budget.give_back(room - left)
        return replace(opened, size=out.size, source=_Spooled(out, budget, left))

    async def _written(self, opened: Opened, client: str) -> JobSpool:
        read, out = await JobSpool.open(), None
        try:
            copied = await read.copy(opened.source, opened.size)
            # A source compares its digest when it is read to the end.
            if copied != opened.size:
                raise NotDeidentified("it is shorter than the index says")
            out = await JobSpool.open()
            uid, why = await self.deidentification.pool.run(WORK, (self.deidentifier, opened.syntax), read, out, client)
            if why:
                raise NotDeidentified(why)
            if uid != self.uid(opened.location.sop_instance_uid):
                raise NotDeidentified("its data set has another SOP Instance UID than it is known by")
            return out
        except ConversionFailed as error:
            _closed(out)
            raise NotDeidentified(f"it could not be de-identified: {error}") from error
        except BaseException:
            _closed(out)
            raise
        finally:
            read.close()


def _closed(spool: JobSpool | None) -> None:
    if spool is not None:
        spool.close()


class _Spooled(SpoolSource):
    """An object in a spool; closing it releases its room."""

    def __init__(self, spool: JobSpool, budget: Budget, room: int) -> None:
        super().__init__(spool)
        self._budget = budget
        self._room = room

    async def close(self) -> None:
        await super().close()
        room, self._room = self._room, 0
        self._budget.give_back(room)
