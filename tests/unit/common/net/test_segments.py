"""PS3.8 table 9-10 as peers meet it: any PDUs, cut into any segments, end in an answer, an abort or a close, and never
in an exception of ours; and what is counted of associations adds up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cache

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gantry.common.net import Server, ServerLimits
from gantry.common.net.client import _Calling
from gantry.common.net.incoming import Incoming
from gantry.common.telemetry.metrics import Metrics
from gantry.common.ul import AssociateAccept, AssociateReject, AssociateRequest, ContextResult, State, UpperLayer
from gantry.common.ul.pdu import encode_accept, encode_reject
from gantry.services.process.association_log import NetworkObserver
from gantry.services.process.verification import VerificationService
from tests.support.wire import (
    EXPLICIT,
    IMPLICIT,
    RELEASE_RP,
    RELEASE_RQ,
    USER_ABORT,
    associate_rq,
    echo_command,
    pdata,
    pdv,
    provider_abort,
    rq_bytes,
)

ACCEPT = encode_accept(AssociateAccept("GANTRY", "TEST", 16384, "1.2.3", results=(ContextResult(3, 0, IMPLICIT),)))
PDUS = {
    "A-ASSOCIATE-RQ": rq_bytes(),
    "A-ASSOCIATE-RQ of another version": rq_bytes(protocol_version=2),
    "A-ASSOCIATE-RQ without a context": rq_bytes(contexts=[]),
    "A-ASSOCIATE-AC": ACCEPT,
    "A-ASSOCIATE-RJ": encode_reject(AssociateReject(1, 1, 1)),
    "C-ECHO": pdata(pdv(3, 3, echo_command())),
    "half a C-ECHO": pdata(pdv(3, 1, echo_command()[:20])),
    "a data set without its command": pdata(pdv(3, 2, b"data")),
    "a context that is not in use": pdata(pdv(9, 3, echo_command())),
    "an empty P-DATA-TF": b"\4\0\0\0\0\0",
    "A-RELEASE-RQ": RELEASE_RQ,
    "A-RELEASE-RP": RELEASE_RP,
    "A-ABORT": USER_ABORT,
    "A-P-ABORT": provider_abort(1),
    "an unknown PDU": b"\x63\0\0\0\0\4abcd",
    "an A-RELEASE-RQ of a wrong length": b"\5\0\0\0\0\6abcdef",
}
pdus = st.lists(st.sampled_from(sorted(PDUS)), max_size=7)
cuts = st.lists(st.integers(1, 200), max_size=12)
ESTABLISHED = "A-ASSOCIATE-RQ"


def segments(names: Sequence[str], cut: Sequence[int]) -> list[bytes]:
    """The PDUs one behind the other, in pieces of these lengths; the rest in one."""
    stream = b"".join(PDUS[name] for name in names)
    pieces, at = [], 0
    for length in cut:
        pieces.append(stream[at : at + length])
        at += length
    return [piece for piece in [*pieces, stream[at:]] if piece]


class FakeTransport(asyncio.Transport):
    """What asyncio gives to a protocol, without a socket under it."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 1024)})
        self.written = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...
    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


def deliver(connection: asyncio.BufferedProtocol, transport: FakeTransport, pieces: Sequence[bytes]) -> None:
    for piece in pieces:
        if transport.closed:
            return
        buffer = connection.get_buffer(-1)
        buffer[: len(piece)] = piece  # type: ignore[index]
        connection.buffer_updated(len(piece))


@cache
def metrics_of_all() -> Metrics:
    """Nothing is open at the end of a run, so the next one can count in the same."""
    return Metrics()


class Anybody:
    def admit(self, request: AssociateRequest, peer_address: str, tls: bool, certificate: str) -> None:
        return None


async def run_acceptor(names: Sequence[str], cut: Sequence[int], *, turns: int) -> bytes:
    """What our side sent. `turns` lets requests be performed in between."""
    metrics = metrics_of_all()
    observer = NetworkObserver(metrics, "ingest")
    server = Server([VerificationService()], Anybody(), observer, limits=ServerLimits(artim=60.0))  # type: ignore[arg-type]
    accepting = Incoming(server)
    transport = FakeTransport()
    connection = accepting.connection
    connection.connection_made(transport)

    def open_now() -> float:
        value = metrics.registry.get_sample_value("gantry_associations_open", {"role": "ingest"})
        return value or 0.0

    for piece in segments(names, cut):
        deliver(connection, transport, [piece])
        assert open_now() >= 0
        for _ in range(turns):
            await asyncio.sleep(0)
    await asyncio.sleep(0)
    connection.connection_lost(None)
    await asyncio.sleep(0)
    assert open_now() == 0
    assert not server.associations
    assert not server.per_peer
    assert not server.connections
    assert not observer.open_by_title
    return transport.written


RELEASE_THEN_DATA = ["A-RELEASE-RQ", "C-ECHO"]
ASKED = [len(PDUS[ESTABLISHED])]
"""Cuts so that the request comes alone, as from a peer that waits for its answer."""


@pytest.mark.parametrize("behind", sorted(PDUS))
@pytest.mark.parametrize("before", [[], [ESTABLISHED], [ESTABLISHED, "C-ECHO"], [ESTABLISHED, "A-RELEASE-RQ"]])
async def test_whatever_comes_behind_in_the_same_segment(
    before: list[str], behind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    for names in ([*before, behind], [*before, behind, "A-RELEASE-RQ", "C-ECHO"]):
        await run_acceptor(names, [], turns=0)
        await run_acceptor(names, ASKED, turns=1)
    out, err = capfd.readouterr()
    assert "failed" not in out + err


def test_acceptor_survives_any_pdus_in_any_segments(capfd: pytest.CaptureFixture[str]) -> None:
    @given(names=pdus, cut=cuts, turns=st.integers(0, 3), is_asked=st.booleans())
    @example(names=RELEASE_THEN_DATA, cut=[], turns=0, is_asked=True)
    @example(names=["C-ECHO", "A-RELEASE-RQ", "A-RELEASE-RQ"], cut=[], turns=0, is_asked=True)
    def survives(names: list[str], cut: list[int], turns: int, is_asked: bool) -> None:
        if is_asked:
            asyncio.run(run_acceptor([ESTABLISHED, *names], ASKED + cut, turns=turns))
        else:
            asyncio.run(run_acceptor(names, cut, turns=turns))

    survives()
    out, err = capfd.readouterr()
    assert "receiving failed" not in out + err
    assert "Traceback" not in out + err


@pytest.mark.parametrize("behind", ["A-RELEASE-RQ", "C-ECHO", "half a C-ECHO"])
async def test_what_is_refused_is_aborted_once(behind: str) -> None:
    names = [ESTABLISHED, "half a C-ECHO", "a context that is not in use", behind]
    written = await run_acceptor(names, ASKED, turns=1)
    assert written[:1] == b"\2"
    assert written.count(provider_abort(6)[:9]) == 1
    assert written.endswith(provider_abort(written[-1]))


async def run_requestor(names: Sequence[str], cut: Sequence[int]) -> None:
    from gantry.common.net import Peer
    from gantry.common.net.client import _established

    calling = _Calling(Peer("192.0.2.1", 104, "GANTRY", "TEST"))
    transport = FakeTransport()
    calling.connection.connection_made(transport)
    request = associate_rq(contexts=[(3, "1.2.840.10008.1.1", (IMPLICIT, EXPLICIT))])
    calling.connection.ul.request(request)
    calling.connection.flush()
    deliver(calling.connection, transport, segments(names, cut))
    if calling.answered.done() and calling.answered.exception() is None:
        association = _established(calling, request, calling.answered.result(), [])
        calling.established(association)
        release = asyncio.ensure_future(association.release(0.001))
        await asyncio.sleep(0)
        calling.connection.connection_lost(None)
        await release
    else:
        calling.connection.connection_lost(None)
        assert calling.answered.exception() is not None
    await asyncio.sleep(0)


def test_requestor_survives_any_pdus_in_any_segments(capfd: pytest.CaptureFixture[str]) -> None:
    @given(names=pdus, cut=cuts, accepted=st.booleans())
    @example(names=["A-ASSOCIATE-AC", "A-RELEASE-RQ", "C-ECHO"], cut=[], accepted=False)
    def survives(names: list[str], cut: list[int], accepted: bool) -> None:
        asyncio.run(run_requestor(["A-ASSOCIATE-AC", *names] if accepted else names, cut))

    survives()
    out, err = capfd.readouterr()
    assert "failed" not in out + err


async def test_peer_that_speaks_before_it_is_asked_is_given_up() -> None:
    for name in sorted(PDUS):
        ul = UpperLayer(requestor=True)
        indications = ul.feed(PDUS[name])
        assert ul.closing, name
        assert len(indications) == 1, name
        assert ul.state is State.STA1


@given(names=pdus, cut=cuts)
def test_indications_do_not_depend_on_segments(names: list[str], cut: list[int]) -> None:
    """What a peer sends means the same however the network cut it, until the association has ended."""

    def run(pieces: Sequence[bytes]) -> list[str]:
        ul = UpperLayer(requestor=False)
        ul.connected()
        kinds: list[str] = []
        for piece in pieces:
            for indication in ul.feed(piece):
                kinds.append(type(indication).__name__)
        return [name for name in kinds if name != "Fragment"]

    stream = b"".join(PDUS[name] for name in names)
    assert run(segments(names, cut)) == run([stream[i : i + 1] for i in range(len(stream))])
