"""Transfers requested over HTTP: each runs in the background, and is remembered for an hour."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from secrets import token_hex

from gantry.common.clock import Clock
from gantry.common.errors import DependencyUnavailable, GantryError
from gantry.common.net import Peer
from gantry.common.ports.index import Location
from gantry.common.tasks import end_tasks
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.services.retrieve.dimse.moving import MoveJob, Mover, count_the_rest
from gantry.services.retrieve.dimse.service import Delivered, count_suboperations
from gantry.services.retrieve.dimse.suboperations import Counters

logger = get_logger("retrieve")
MOST_RUNNING = 64
"""Transfers that are running or waiting for their turn, per process."""
MOST_REMEMBERED = 1_000
REMEMBERED_SECONDS = 3600.0
_OPERATION = "send"


@dataclass(eq=False)
class Transfer:
    """The transfer of one study to a destination, running or ended."""

    id: str
    study: str
    destination: str
    counters: Counters
    state: str = "running"
    """Or "done", "failed" if an instance was not accepted, or "cancelled"."""
    error: str = ""
    is_wanted: bool = True
    ended: float = 0.0

    def as_json(self) -> dict[str, str | int]:
        """The transfer as it is reported over HTTP."""
        counters = self.counters
        return {
            "id": self.id,
            "study": self.study,
            "destination": self.destination,
            "state": self.state,
            "remaining": counters.remaining,
            "completed": counters.completed,
            "failed": counters.failed,
            "warning": counters.warning,
            "error": self.error,
        }


class Transfers:
    """The transfers of this process."""

    def __init__(self, mover: Mover, clock: Clock, metrics: Metrics, delivered: Delivered = lambda *_: None) -> None:
        """`delivered` is called with the outcome of each transfer."""
        self._delivered = delivered
        self._mover = mover
        self._clock = clock
        self._metrics = metrics
        self._known: OrderedDict[str, Transfer] = OrderedDict()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def most_instances(self) -> int:
        """The limit on the instances of one transfer."""
        return self._mover.settings.max_instances

    def start(self, study: str, peer: Peer, locations: Sequence[Location]) -> Transfer:
        """Begin to send. Raises `DependencyUnavailable` if `MOST_RUNNING` transfers are running."""
        self._forget()
        if len(self._tasks) >= MOST_RUNNING:
            raise DependencyUnavailable("retrieve", f"{MOST_RUNNING} studies are being sent: try again later")
        transfer = Transfer(token_hex(16), study, peer.called_ae_title, Counters(len(locations)))
        self._known[transfer.id] = transfer
        task = asyncio.create_task(self._run(transfer, peer, locations))
        self._tasks[transfer.id] = task
        self._metrics.transfers_running.set(len(self._tasks))
        task.add_done_callback(lambda _: self._ended(transfer))
        return transfer

    def _ended(self, transfer: Transfer) -> None:
        self._tasks.pop(transfer.id, None)
        self._metrics.transfers_running.set(len(self._tasks))

    def get(self, name: str) -> Transfer | None:
        """The transfer with this id, None if it is unknown."""
        self._forget()
        return self._known.get(name)

    def cancel(self, transfer: Transfer) -> None:
        """Send no further objects; sub-operations in progress complete, as with C-CANCEL (PS3.4 C.4.2.3.1)."""
        transfer.is_wanted = False

    async def drain(self, seconds: float) -> None:
        """Wait up to `seconds` for the running transfers to end."""
        tasks = list(self._tasks.values())
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)

    async def close(self) -> None:
        """Cancel the running transfers."""
        await end_tasks(*self._tasks.values())

    async def _run(self, transfer: Transfer, peer: Peer, locations: Sequence[Location]) -> None:
        counters = transfer.counters
        # PS3.7 9.1.1.1.6: Move Originator is only for sub-operations of a C-MOVE.
        job = MoveJob(counters, is_wanted=lambda: transfer.is_wanted, progressed=_nobody_waits)
        try:
            await self._mover.move(peer, locations, job)
            if transfer.is_wanted:
                count_the_rest(locations, counters)
            self._conclude(transfer)
        except GantryError as error:
            transfer.error, transfer.state = str(error), "failed"
        except asyncio.CancelledError:
            transfer.error, transfer.state = "this process ended", "failed"
            raise
        except Exception:
            logger.exception("a transfer failed")
            transfer.error, transfer.state = "internal error", "failed"
        finally:
            transfer.ended = self._clock.monotonic()
            count_suboperations(self._metrics, _OPERATION, counters)
            self._delivered(_OPERATION, "", (transfer.destination, peer.host), locations, counters, "")
            logger.info("transfer ended", destination=transfer.destination, state=transfer.state)

    @staticmethod
    def _conclude(transfer: Transfer) -> None:
        counters = transfer.counters
        if counters.failed:
            transfer.error = counters.why or f"{counters.failed} instances were not taken"
        if counters.remaining:
            transfer.state = "cancelled"
        else:
            transfer.state = "failed" if counters.failed else "done"

    def _forget(self) -> None:
        """Forget transfers that ended long ago, and the oldest ended ones beyond `MOST_REMEMBERED`."""
        before = self._clock.monotonic() - REMEMBERED_SECONDS
        ended = [transfer for transfer in self._known.values() if transfer.state != "running"]
        surplus = len(ended) - MOST_REMEMBERED
        for place, transfer in enumerate(ended):
            if transfer.ended < before or place < surplus:
                del self._known[transfer.id]


async def _nobody_waits() -> None:
    return None
