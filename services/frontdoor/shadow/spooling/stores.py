"""C-STORE in the spool: writes the objects of an association, and sends a line after its mirror has ended."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence

from gantry.common.clock import Clock
from gantry.common.dimse import Command, Element
from gantry.common.dimse.command import CommandError
from gantry.common.errors import AssociationRejected, PeerError, PeerTimeout
from gantry.common.net.association import Association
from gantry.common.net.client import associate
from gantry.common.statuses import OUT_OF_RESOURCES
from gantry.common.ul import AssociateRequest, ProposedContext
from gantry.services.frontdoor.shadow.asking import ComparedArchive
from gantry.services.frontdoor.shadow.comparing import compare_statuses, named_uids
from gantry.services.frontdoor.shadow.overhearing import STORE, Exchange, Room
from gantry.services.frontdoor.shadow.recording import Recorder
from gantry.services.frontdoor.shadow.spooling.catching_up import MOST_TRIES, Away
from gantry.services.frontdoor.shadow.spooling.heads import StoredHead
from gantry.services.frontdoor.shadow.spooling.spool import HALF_WRITTEN, Line, ShadowSpool, SpoolEntry

_AT_ONCE = 100
"""Objects of a line that one association sends."""
_MOST_CONTEXTS = 128


class SpilledStore:
    """The data set of a C-STORE in the spool. A `Spilled` of `overhearing`."""

    def __init__(self, entry: SpoolEntry) -> None:
        self.entry = entry

    @property
    def why(self) -> str:
        """Why it is not in the spool; "" if it is."""
        return self.entry.why

    def write(self, data: bytes | bytearray, room: Room | None = None) -> bool:
        """Write the next bytes."""
        return self.entry.write(data, room)

    def finish(self, exchange: Exchange) -> None:
        """The data set is complete, and its request is answered."""
        head = StoredHead(
            base64.b64encode(exchange.command.encode(data_set=True)).decode("ascii"),
            exchange.context.abstract_syntax,
            exchange.context.transfer_syntax,
            exchange.status or 0,
            exchange.seconds,
        )
        self.entry.finish(head.to_json())

    def drop(self, why: str) -> None:
        """Discard the data set."""
        self.entry.drop(why)


class SpooledStores:
    """Sends the objects that associations left in the spool."""

    def __init__(
        self,
        spool: ShadowSpool,
        side_of: Callable[[str], ComparedArchive],
        timeout: float,
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        """`side_of` returns the archive with a name; `timeout` is in seconds."""
        self._spool = spool
        self._side_of = side_of
        self._timeout = timeout
        self._recorder = recorder
        self._clock = clock

    async def send(self, line: Line) -> None:
        """Send the complete objects of the line, in order. Raises `Away` if it is to be tried again later."""
        waiting = await self._heads(line)
        if not waiting:
            return
        contexts = list(dict.fromkeys((head.abstract_syntax, (head.transfer_syntax,)) for _, _, head in waiting))
        contexts = contexts[:_MOST_CONTEXTS]
        association = await self._opened(line, contexts)
        try:
            for entry, command, head in waiting:
                if (head.abstract_syntax, (head.transfer_syntax,)) not in contexts:
                    break  # the next association sends it
                await self._send_object(association, entry, command, head)
        except BaseException:
            association.abort("the spool is sent later")
            raise
        await association.release()

    async def _heads(self, line: Line) -> list[tuple[SpoolEntry, Command, StoredHead]]:
        heads = []
        for entry in list(line.entries.values())[:_AT_ONCE]:
            if not entry.is_ready:
                break
            read = await self._spool.head_of(entry)
            try:
                if read is None:
                    raise ValueError("a file that cannot be read")
                head = StoredHead.of(read)
                command = Command.decode(base64.b64decode(head.command, validate=True))
            except (ValueError, CommandError):
                entry.drop(HALF_WRITTEN)
                self._recorder.given_up(HALF_WRITTEN, line.about.calling, STORE)
                continue
            heads.append((entry, command, head))
        return heads

    async def _opened(self, line: Line, contexts: Sequence[tuple[str, tuple[str, ...]]]) -> Association:
        about = line.about
        proposed = tuple(ProposedContext(2 * n + 1, *context) for n, context in enumerate(contexts))
        request = AssociateRequest(called_ae_title=about.called, calling_ae_title=about.calling, contexts=proposed)
        try:
            association = await associate(self._side_of(about.to).peer(request, about.origin), contexts)
        except AssociationRejected as error:
            self._recorder.reached(True)
            if error.retryable or line.failures + 1 < MOST_TRIES:
                raise Away(str(error), everywhere=False) from error
            for entry in [entry for entry in line.entries.values() if entry.is_ready]:
                entry.drop("rejected")
                self._recorder.given_up("rejected", about.calling, str(error))
            raise Away(str(error), everywhere=False) from error
        except PeerError as error:
            self._recorder.reached(False)
            raise Away(str(error), everywhere=True) from error
        self._recorder.reached(True)
        return association

    async def _send_object(
        self, association: Association, entry: SpoolEntry, command: Command, head: StoredHead
    ) -> None:
        about = entry.line.about
        context = association.context_for(head.abstract_syntax, head.transfer_syntax)
        opened = await self._spool.opened(entry) if context is not None else None
        if context is None or opened is None:
            why = entry.why or "context"
            entry.drop(why)
            self._recorder.given_up(why, about.calling, STORE)
            return
        source, length = opened
        again = Command({**command.elements, Element.MESSAGE_ID: association.next_message_id()})
        started = self._clock.monotonic()
        try:
            response = await association.store(context.id, again, source, length, timeout=self._timeout)
        except PeerError as error:
            why = "timeout" if isinstance(error, PeerTimeout) else "aborted"
            raise self._failed_try(entry, why, str(error)) from error
        finally:
            await source.close()
        if response.status & 0xFF00 == OUT_OF_RESOURCES and entry.tries + 1 < MOST_TRIES:
            raise self._failed_try(entry, "aborted", "out of resources")
        entry.line.failures = 0
        took = self._clock.monotonic() - started
        entry.drop("sent")
        statuses = (response.status, head.status) if about.to == "gantry" else (head.status, response.status)
        seconds = {"other" if about.to == "gantry" else "gantry": head.seconds, about.to: took}
        uids = named_uids([command.sop_instance_uid])
        self._recorder.compared(STORE, about.calling, compare_statuses(*statuses), seconds, uids)

    def _failed_try(self, entry: SpoolEntry, why: str, words: str) -> Away:
        """An object was refused: it is tried again, but not for ever, so that the objects after it are sent."""
        entry.tries += 1
        if entry.tries >= MOST_TRIES:
            entry.drop(why)
            self._recorder.given_up(why, entry.line.about.calling, words)
        return Away(words, everywhere=False)
