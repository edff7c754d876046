"""A real receiver of HL7 messages over MLLP on this machine, which answers as a test wants."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from gantry.common.hl7.charsets import decoded
from gantry.common.hl7.message import Hl7Message, parse
from gantry.common.hl7.mllp import Frame, MllpDecoder, framed

Answer = Callable[[Hl7Message], bytes | None]
"""The raw answer; None for no answer, b"" to close the connection."""


def acknowledgement(message: Hl7Message, code: str = "AA", text: str = "", control_id: str | None = None) -> bytes:
    """A framed answer; `control_id` in place of the message's own."""
    answered = message.control_id if control_id is None else control_id
    lines = f"MSH|^~\\&|RIS||GANTRY||20260101||ACK^R01^ACK|A1|P|2.5.1\rMSA|{code}|{answered}|{text}\r"
    return framed(lines.encode())


@dataclass
class MllpReceiver:
    """The received messages, in order, as bytes."""

    came: list[bytes] = field(default_factory=list)
    answer: Answer = acknowledgement
    certificates: list[dict[str, object]] = field(default_factory=list)
    """The certificates of the callers, with TLS."""
    port: int = 0

    @property
    def messages(self) -> list[Hl7Message]:
        """The received messages."""
        return [parse(decoded(message)) for message in self.came]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        decoder = MllpDecoder(1 << 20)
        self.certificates.append(writer.get_extra_info("peercert") or {})
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                decoder.receive(data)
                while isinstance(frame := decoder.next(), Frame):
                    self.came.append(frame.message)
                    reply = self.answer(parse(decoded(frame.message)))
                    if reply == b"":
                        writer.close()
                        return
                    if reply is not None:
                        writer.write(reply)
                        await writer.drain()
        writer.close()


@asynccontextmanager
async def mllp_receiver(port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[MllpReceiver]:
    """A listening receiver."""
    receiver = MllpReceiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", port, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
