"""BAD_INPUTS.md, rows 1 to 9: invalid associations, PDUs and messages."""

from __future__ import annotations

import asyncio
import struct
from contextlib import AsyncExitStack, suppress

import pytest

from gantry.common.dimse import Command, Element
from gantry.common.errors import AssociationRejected
from gantry.common.net import connect, scu
from gantry.common.net.client import associate
from gantry.common.ul import AssociateRequest
from gantry.common.ul.pdu import decode_accept, encode_request
from tests.conformance.conftest import PER_PEER, TOGETHER, Raw, Target, pdus
from tests.support.asking import until
from tests.support.wire import (
    CT,
    EXPLICIT,
    IMPLICIT,
    RELEASE_RQ,
    VERIFICATION,
    associate_rq,
    echo_command,
    pdata,
    pdv,
    rq_bytes,
    store_command,
)

ECHO = [(VERIFICATION, (IMPLICIT,))]
_GREAT = struct.pack(">BBI", 4, 0, 0xFFFFFFFF)


async def test_row_1_a_silent_connection_is_closed_at_artim_and_counts_for_nothing(target: Target) -> None:
    async with AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(Raw(target)) for _ in range(TOGETHER + 4)]
        async with connect(target.peer, ECHO) as association:
            assert await scu.echo(association) == 0x0000
        for raw in silent:
            assert await raw.rest() == b""


async def test_row_2_a_pdu_that_comes_in_drops_is_ended_at_its_deadline(target: Target) -> None:
    async with Raw(target) as before, Raw(target) as within:
        await within.send(rq_bytes())
        assert (await within.pdu())[0] == 2
        request, data = rq_bytes(), pdata(pdv(1, 3, store_command()))

        async def drip(raw: Raw, whole: bytes) -> bytes:
            rest = asyncio.create_task(raw.rest())
            for i in range(len(whole) - 1):
                with suppress(ConnectionError, RuntimeError):  # uvloop: the archive closed it before this byte
                    await raw.send(whole[i : i + 1])
                if rest.done():
                    break
                await asyncio.sleep(0.2)
            return await rest

        dripping = asyncio.gather(drip(before, request), drip(within, data))
        async with connect(target.peer, ECHO) as association:
            assert await scu.echo(association) == 0x0000
        assert [pdus(answer) for answer in await dripping] in ([[], [7]], [[7], [7]])


@pytest.mark.parametrize(
    ("associated", "data"),
    [
        pytest.param(True, _GREAT + bytes(1000), id="row 3: P-DATA of 4 GiB"),
        pytest.param(True, struct.pack(">BBI", 4, 0, 131073) + bytes(1000), id="row 3: P-DATA too long"),
        pytest.param(False, struct.pack(">BBI", 1, 0, 1 << 20), id="row 3: A-ASSOCIATE-RQ of 1 MiB"),
        pytest.param(False, struct.pack(">BBI", 1, 0, 0xFFFFFFFF), id="row 3: A-ASSOCIATE-RQ of 4 GiB"),
        pytest.param(False, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", id="row 4: HTTP"),
        pytest.param(False, bytes.fromhex("16030100c8010000c40303") + bytes(200), id="row 4: TLS ClientHello"),
        pytest.param(False, pdata(pdv(1, 3, echo_command())), id="row 6: P-DATA first"),
        pytest.param(False, RELEASE_RQ, id="row 6: A-RELEASE-RQ first"),
        pytest.param(True, rq_bytes(), id="row 6: a second A-ASSOCIATE-RQ"),
        pytest.param(True, b"\0\0\0\0\0\4\0\0\0\0", id="row 6: PDU type 0"),
        pytest.param(True, b"\x08\0\0\0\0\4\0\0\0\0", id="row 6: PDU type 8"),
        pytest.param(False, b"\xff\0\0\0\0\4\0\0\0\0", id="row 6: PDU type 255"),
        pytest.param(True, pdata(struct.pack(">I", 0)), id="row 7: PDV of length 0"),
        pytest.param(True, pdata(struct.pack(">IB", 1, 1)), id="row 7: PDV of length 1"),
        pytest.param(True, pdata(struct.pack(">IBB", 9999, 1, 3) + bytes(50)), id="row 7: PDV beyond its PDU"),
        pytest.param(True, pdata(pdv(99, 3, store_command())), id="row 7: a context that is not there"),
        pytest.param(True, pdata(pdv(1, 2, b"data")), id="row 7: a data set without command"),
        pytest.param(
            True,
            pdata(pdv(1, 3, store_command()), pdv(1, 0, b"data"), pdv(1, 3, store_command(2))),
            id="row 7: a command within a data set",
        ),
        pytest.param(
            True, b"".join(pdata(pdv(1, 1, bytes(16000))) for _ in range(8)), id="row 7: a command without end"
        ),
        pytest.param(True, pdata(pdv(3, 3, b"\0\0\0\1\xff\xff\xff\xff1")), id="row 8: a command element of 4 GiB"),
        pytest.param(
            True, pdata(pdv(3, 3, Command({Element.COMMAND_FIELD: 0x30}).encode())), id="row 8: no Message ID"
        ),
        pytest.param(
            True, pdata(pdv(3, 3, echo_command())) + pdata(pdv(3, 2, b"x")), id="row 8: data that was not announced"
        ),
    ],
)
async def test_what_breaks_the_protocol_is_aborted(target: Target, associated: bool, data: bytes) -> None:
    before = target.rss()
    async with Raw(target) as raw:
        if associated:
            await raw.send(rq_bytes())
            assert (await raw.pdu())[0] == 2
        await raw.send(data)
        types = pdus(await raw.rest())
        # What was whole before the mistake may have been answered.
        assert types in ([7], [4, 7]), types
    assert target.rss() < before + (32 << 20)


async def test_row_8_a_wrong_group_length_is_not_trusted(target: Target) -> None:
    wrong = echo_command()[:8] + struct.pack("<I", 0x7FFFFFFF) + echo_command()[12:]
    async with Raw(target) as raw:
        await raw.send(rq_bytes())
        await raw.pdu()
        await raw.send(pdata(pdv(3, 3, wrong)))
        answer = Command.decode((await raw.pdu())[12:])
        assert (answer.status, answer.responds_to) == (0x0000, 1)


def _crowded() -> bytes:
    """An A-ASSOCIATE-RQ whose user information is full of empty sub-items."""
    pdu = rq_bytes()
    start = pdu.rindex(b"\x50\0" + struct.pack(">H", len(pdu) - pdu.rindex(b"\x50\0") - 4))
    crowd = b"\x59\0\0\0" * 16000
    body = pdu[6:start] + b"\x50\0" + struct.pack(">H", len(crowd)) + crowd
    return struct.pack(">BBI", 1, 0, len(body)) + body


def _called(calling: bytes) -> bytes:
    pdu = bytearray(rq_bytes())
    pdu[26:42] = calling
    return bytes(pdu)


_MANY = [(2 * (i % 128) + 1, CT, (EXPLICIT,)) for i in range(140)]


@pytest.mark.parametrize(
    ("request_bytes", "types"),
    [
        pytest.param(_crowded(), ([3], [7], [2]), id="row 5: 16,000 empty sub-items"),
        pytest.param(rq_bytes(contexts=_MANY), ([3], [7]), id="row 5: 140 contexts"),
        pytest.param(rq_bytes(contexts=[(2, CT, (EXPLICIT,))]), ([3], [7]), id="row 5: an even context id"),
        pytest.param(rq_bytes(contexts=[(1, CT, (EXPLICIT,))] * 2), ([3], [7]), id="row 5: a context id twice"),
        pytest.param(_called(b" " * 16), ([3], [7]), id="row 5: a calling AE title of spaces"),
        pytest.param(_called(bytes(16)), ([3], [7]), id="row 5: a calling AE title of NULs"),
        pytest.param(_called(b"CT\xff\xfe" + b" " * 12), ([3], [7]), id="row 5: a calling AE title beyond ASCII"),
        pytest.param(_called(b"A\\B\n" + b" " * 12), ([3], [7]), id="row 5: a calling AE title with controls"),
    ],
)
async def test_a_request_that_is_wrong_is_rejected(
    target: Target, request_bytes: bytes, types: tuple[list[int], ...]
) -> None:
    async with Raw(target) as raw:
        await raw.send(request_bytes)
        answer = await raw.pdu()
        assert [answer[0]] in types
        if answer[0] == 3:
            assert answer[7] == 1  # rejected-permanent


@pytest.mark.parametrize("uid", ["1." * 32 + "1", "../../etc/passwd", "", "not a uid", "1.2.\xff"])
async def test_row_5_a_context_with_a_uid_that_is_none_is_not_accepted(target: Target, uid: str) -> None:
    good: AssociateRequest = associate_rq([(1, CT, (EXPLICIT,)), (3, "9.8.7.6.5.4.3.2.1", (EXPLICIT,))])
    pdu = encode_request(good)
    # The abstract syntax sub-item of context 3, exchanged for one of another length, with the lengths about it.
    old = b"\x30\0" + struct.pack(">H", 17) + b"9.8.7.6.5.4.3.2.1"
    value = uid.encode("latin-1")
    new = b"\x30\0" + struct.pack(">H", len(value)) + value
    at = pdu.index(old)
    length = int.from_bytes(pdu[at - 6 : at - 4], "big") + len(new) - len(old)
    pdu = pdu[: at - 6] + struct.pack(">H", length) + pdu[at - 4 : at] + new + pdu[at + len(old) :]
    pdu = pdu[:2] + struct.pack(">I", len(pdu) - 6) + pdu[6:]
    async with Raw(target) as raw:
        await raw.send(pdu)
        answer = await raw.pdu()
        if answer[0] == 2:
            results = {result.id: result.result for result in decode_accept(answer).results}
            assert results[1] == 0
            assert results[3] in (1, 2, 3, 4)
        else:
            assert answer[0] in (3, 7)


async def test_row_9_associations_beyond_the_limits_are_rejected_for_now(target: Target) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(PER_PEER):
            await stack.enter_async_context(connect(target.peer, ECHO))
        with pytest.raises(AssociationRejected) as caught:
            await associate(target.peer, ECHO)
        assert (caught.value.result, caught.value.source, caught.value.reason) == (2, 3, 2)
        # Another address still gets in, until all are taken.
        others = [await stack.enter_async_context(Raw(target, f"127.0.0.{2 + n % 2}")) for n in range(5)]
        answers = []
        for raw in others:
            await raw.send(rq_bytes())
            answers.append((await raw.pdu())[:10])
        assert [answer[0] for answer in answers] == [2] * (TOGETHER - PER_PEER) + [3]
        assert answers[-1][7:10] == b"\2\3\2"
    await until(lambda: target.metric("gantry_associations_open") == 0)
    async with connect(target.peer, ECHO) as association:
        assert await scu.echo(association) == 0x0000
