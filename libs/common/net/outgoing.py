"""Outgoing messages of one association, sent one after the other.

An object is staged before its turn: its command and the first megabyte of its data set are in memory as PDUs, so that
they are sent in one write as soon as the peer may receive them.
"""

from __future__ import annotations

import asyncio

from gantry.common.dimse import Command, PduFrame, message_pdus
from gantry.common.errors import AssociationAborted, Corrupt, PeerTimeout
from gantry.common.net.connection import Connection
from gantry.common.net.sinks import Source


class Staged:
    """A message whose beginning is in memory. The caller closes it after sending, or if it will not be sent."""

    __slots__ = ("_frames", "command", "filled", "frame", "left", "source")

    def __init__(self, frames: list[PduFrame], frame: PduFrame, command: Command, source: Source, left: int) -> None:
        self._frames = frames
        self.frame: PduFrame | None = frame
        self.command = command
        self.source = source
        self.left = left
        """Bytes of the data set that have not been read into the frame yet."""
        self.filled = 0

    def close(self) -> None:
        """Release the memory."""
        frame, self.frame = self.frame, None
        if frame is not None:
            self._frames.append(frame)


class MessageWriter:
    """The sending half of an association."""

    def __init__(self, connection: Connection, peer_max_pdu: int) -> None:
        self._connection = connection
        self._peer_max_pdu = peer_max_pdu
        self._turn = asyncio.Lock()
        self._frames: list[PduFrame] = []

    async def message(self, context_id: int, command: Command, data: bytes | None) -> None:
        """Send a message that is in memory."""
        encoded = command.encode(data_set=data is not None)
        await self.pdus(message_pdus(context_id, encoded, data, self._peer_max_pdu))

    async def pdus(self, pdus: bytes) -> None:
        """Send whole messages that are encoded as PDUs; returns when the kernel has accepted them."""
        async with self._turn:
            await self._connection.write(pdus)

    async def stage(self, context_id: int, command: Command, source: Source, length: int) -> Staged:
        """Read the beginning of a data set of `length` bytes; memory does not depend on `length`. Raises `Corrupt` if
        the source is empty."""
        frame = self._frames.pop() if self._frames else PduFrame(self._peer_max_pdu)
        staged = Staged(self._frames, frame, command, source, length)
        try:
            frame.begin(context_id, command.encode(data_set=True))
            await self._fill(staged, frame)
        except BaseException:
            staged.close()
            raise
        return staged

    async def staged(self, staged: Staged, timeout: float) -> None:
        """Send a staged message and the rest of its data set. Raises `PeerTimeout` if the kernel does not accept a
        frame within `timeout` seconds. If the source ends early, the association is aborted: the message is partly
        sent.
        """
        async with self._turn:
            frame = staged.frame
            if frame is None:
                raise RuntimeError("the message was closed")
            try:
                while True:
                    try:
                        async with asyncio.timeout(timeout):
                            await self._connection.write(frame.finish(staged.filled, is_end=not staged.left))
                    except TimeoutError:
                        raise PeerTimeout(f"the peer accepted no data for {timeout:g} s") from None
                    frame.reopen(staged.filled)
                    if not staged.left:
                        return
                    await self._fill(staged, frame)
            except BaseException as error:
                staged.frame = None  # the transport may still read from it
                self._connection.break_off()
                if isinstance(error, Corrupt):
                    raise AssociationAborted(str(error)) from error
                raise

    @staticmethod
    async def _fill(staged: Staged, frame: PduFrame) -> None:
        filled = min(await staged.source.readinto(frame.holes), staged.left) if staged.left else 0
        if staged.left and not filled:
            raise Corrupt("the object is shorter than it should be")
        staged.filled = filled
        staged.left -= filled
