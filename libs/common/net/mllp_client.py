"""Sending HL7 messages over MLLP, one after the other, each with its answer."""

from __future__ import annotations

import asyncio
import ssl
from types import TracebackType

from gantry.common.errors import ConnectionFailed, PeerTimeout
from gantry.common.hl7.mllp import Frame, MllpDecoder, MllpError, framed

_READ = 1 << 16
_LONGEST_ANSWER = 1 << 20


class MllpClient:
    """One connection, as an async context manager. Every method raises `ConnectionFailed`, and `PeerTimeout` if an
    answer takes longer than `timeout` seconds. Connecting may take `connect_timeout` seconds (`timeout` if it is
    None)."""

    def __init__(
        self,
        host: str,
        port: int,
        tls: ssl.SSLContext | None = None,
        timeout: float = 30.0,
        connect_timeout: float | None = None,
    ) -> None:
        self._address = host, port
        self._tls = tls
        self._timeout = timeout
        self._connect_timeout = timeout if connect_timeout is None else connect_timeout
        self._decoder = MllpDecoder(_LONGEST_ANSWER)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> MllpClient:
        host, port = self._address
        try:
            async with asyncio.timeout(self._connect_timeout):
                self._streams = await asyncio.open_connection(host, port, ssl=self._tls)
        except TimeoutError:
            raise ConnectionFailed(f"{host}:{port} does not answer") from None
        except OSError as error:
            raise ConnectionFailed(f"no connection to {host}:{port}: {error.strerror or error}") from error
        except UnicodeError:  # an invalid host name, for example with an empty label
            raise ConnectionFailed(f"no connection to {host}:{port}: not a valid host name") from None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._streams is not None:
            self._streams[1].close()

    async def send(self, message: bytes) -> bytes:
        """Send a message and return its first answer, without the frame. `receive` returns what enhanced mode sends
        after it."""
        _, writer = self._open()
        try:
            writer.write(framed(message))
            await writer.drain()
        except OSError as error:
            raise ConnectionFailed("the connection was lost") from error
        return await self.receive()

    async def receive(self) -> bytes:
        """The next message that the peer sends."""
        reader, _ = self._open()
        try:
            async with asyncio.timeout(self._timeout):
                while not isinstance(frame := self._decoder.next(), Frame):
                    data = await reader.read(_READ)
                    if not data:
                        raise ConnectionFailed("the peer closed the connection without an answer")
                    self._decoder.receive(data)
        except TimeoutError:
            raise PeerTimeout(f"no answer in {self._timeout:g} s") from None
        except MllpError as error:
            raise ConnectionFailed(f"the answer is not MLLP: {error}") from error
        except OSError as error:
            raise ConnectionFailed("the connection was lost") from error
        return frame.message

    def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        assert self._streams is not None, "enter it first"
        return self._streams
