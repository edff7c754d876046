"""HL7 messages over MLLP: how many orders and updates of patients an archive takes in a second, each acknowledged when
it is durable, from one sender and from several at once."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from gantry.common.net.mllp_client import MllpClient
from tests.bench.rows import Figure
from tests.support.archive import RunningArchive
from tests.support.messages import order, patient, segment
from tests.support.ports import free_port

_MESSAGES = 960
_SENDERS = (1, 4, 16)
_SETTINGS = (
    "hl7: {{port: {port}, max_connections_per_address: 64, profiles: [{{sender: 'RIS^*', authorities: [HOSP]}}]}}\n"
)

Message = Callable[[int], bytes]
"""A message by its number."""


def hl7(folder: Path, quick: bool) -> list[Figure]:
    """Embedded stores, one process that plays every role; no peer: of those at hand none keeps what it acknowledges."""
    folder.mkdir(parents=True, exist_ok=True)
    count = _MESSAGES // 5 if quick else _MESSAGES
    archive, port = RunningArchive(folder), free_port()
    archive.write_policy([], _SETTINGS.format(port=port))
    archive.start()
    try:
        figures = asyncio.run(_measured("gantry", port, count))
    finally:
        archive.stop()
    return figures


async def _measured(contestant: str, port: int, count: int) -> list[Figure]:
    figures: list[Figure] = []
    for row, senders in enumerate(_SENDERS):
        base = row * count
        for kind, message in (("orders", _order), ("updates of patients", _update)):
            begun = time.perf_counter()
            share = count // senders
            parts = [range(base + part * share, base + (part + 1) * share) for part in range(senders)]
            waits = [
                w for times in await asyncio.gather(*(_send(port, message, part) for part in parts)) for w in times
            ]
            seconds = time.perf_counter() - begun
            words = f"{kind}, {senders} sender{'s' if senders > 1 else ''}"
            figures.append(Figure(words, contestant, len(waits) / seconds, "/s"))
            p95 = statistics.quantiles(waits, n=20)[-1]
            figures.append(Figure(f"{words}: p95 of the acknowledgement", contestant, p95 * 1000, "ms"))
    return figures


async def _send(port: int, message: Message, numbers: range) -> list[float]:
    """One after the other on one connection, as senders in order mode do. Returns how long each waited, in seconds."""
    waits: list[float] = []
    async with MllpClient("127.0.0.1", port) as client:
        for number in numbers:
            sent = message(number)
            begun = time.perf_counter()
            answer = await client.send(sent)
            waits.append(time.perf_counter() - begun)
            assert b"MSA|AA|" in answer, answer
    return waits


def _order(number: int) -> bytes:
    """ORM and OMI in turn, each an order of one step for a patient of its own."""
    pid = {3: f"P{number}^^^HOSP^MR", 5: f"FAMILY{number % 500}^GIVEN{number}"}
    orc = {2: f"P{number}^RIS", 3: f"F{number}^RIS"}
    obr = {2: f"P{number}^RIS", 3: f"F{number}^RIS", 18: f"A{number}", 19: f"RP{number}", 20: f"S{number}"}
    control_id = f"O{number}"
    if number % 2:
        ipc = segment("IPC", {1: f"A{number}", 2: f"RP{number}", 3: f"1.2.840.99.{number}", 4: f"S{number}", 5: "CT"})
        return order(kind="OMI^O23^OMI_O23", pid=pid, orc=orc, obr=obr, more=(ipc,), control_id=control_id)
    return order(pid=pid, orc=orc, obr=obr, control_id=control_id)


def _update(number: int) -> bytes:
    """A patient who has an order gets another name."""
    pid = {3: f"P{number}^^^HOSP^MR", 5: f"MARRIED{number % 500}^GIVEN{number}"}
    return patient("A08", pid=pid, control_id=f"U{number}")
