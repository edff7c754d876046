"""The machine as a peer meets it: bytes in, bytes and indications out, whole, byte by byte and in random cuts."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.ul import (
    Aborted,
    Accepted,
    AssociateAccept,
    AssociateReject,
    ContextResult,
    Fragment,
    PduLimits,
    Rejected,
    Released,
    ReleaseRequested,
    Requested,
    State,
    UpperLayer,
)
from gantry.common.ul.pdu import encode_accept
from tests.support.wire import (
    CT,
    EXPLICIT,
    RELEASE_RP,
    RELEASE_RQ,
    USER_ABORT,
    associate_rq,
    body,
    byte_by_byte,
    feed,
    pdata,
    pdv,
    pdvs,
    provider_abort,
    random_cuts,
    rq_bytes,
    store_command,
    whole,
)

ACCEPT = AssociateAccept("GANTRY", "TEST", 16384, "1.2.3", results=(ContextResult(1, 0, EXPLICIT),))
CUTS = [whole, byte_by_byte, random_cuts(1), random_cuts(2, 4096)]


def acceptor(*, established: bool = True, limits: PduLimits | None = None) -> UpperLayer:
    ul = UpperLayer(requestor=False, limits=limits)
    ul.connected()
    if established:
        ul.feed(rq_bytes())
        ul.accept(ACCEPT)
        ul.take_output()
    return ul


def requestor(*, established: bool = True) -> UpperLayer:
    ul = UpperLayer(requestor=True)
    ul.request(associate_rq())
    if established:
        ul.feed(encode_accept(ACCEPT))
        ul.take_output()
    return ul


@pytest.mark.parametrize("cut", CUTS)
def test_acceptor_is_asked_and_accepts(cut: object) -> None:
    ul = acceptor(established=False)
    assert ul.artim
    (request,) = feed(ul, rq_bytes(), cut)
    assert request == Requested(associate_rq())
    assert not ul.artim
    ul.accept(ACCEPT)
    assert ul.take_output() == encode_accept(ACCEPT)
    assert ul.state is State.STA6


def test_acceptor_rejects_and_waits_for_the_peer_to_close() -> None:
    ul = acceptor(established=False)
    ul.feed(rq_bytes())
    ul.reject(AssociateReject(1, 1, 3))
    assert ul.take_output() == b"\3\0\0\0\0\4\0\1\1\3"
    assert ul.artim
    ul.artim_expired()
    assert ul.closing


def test_acceptor_rejects_an_unknown_protocol_version_by_itself() -> None:
    ul = acceptor(established=False)
    assert ul.feed(rq_bytes(protocol_version=2)) == []
    assert ul.take_output() == b"\3\0\0\0\0\4\0\1\2\2"
    assert ul.state is State.STA13


STREAM = {
    "one PDV per PDU": lambda c, d: b"".join(map(pdata, pdvs(1, 1, c, 1000) + pdvs(1, 0, d, 1000))),
    "command and data in one PDU": lambda c, d: pdata(*pdvs(1, 1, c, 1000), *pdvs(1, 0, d, 30000)),
    "command in fragments of seven": lambda c, d: b"".join(map(pdata, pdvs(1, 1, c, 7) + pdvs(1, 0, d, 1234))),
    "many PDVs in a PDU": lambda c, d: pdata(*pdvs(1, 1, c, 10), *pdvs(1, 0, d, 64)),
    "empty fragments": lambda c, d: b"".join(
        map(pdata, [pdv(1, 1, b""), *pdvs(1, 1, c, 999), pdv(1, 0, b""), pdv(1, 0, d), pdv(1, 0, b""), pdv(1, 2, b"")])
    ),
    "fragments of one byte": lambda c, d: pdata(
        *pdvs(1, 1, c, 1), *(pdv(1, 0, d[i : i + 1]) for i in range(3000)), pdv(1, 2, d[3000:])
    ),
    "reserved control bits set": lambda c, d: b"".join(map(pdata, [pdv(1, 0xF3, c), pdv(1, 0xFE, d)])),
}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("shape", STREAM)
def test_data_arrives_in_order_whatever_its_fragments(shape: str, cut: object) -> None:
    # Odd: taken as sent. Byte by byte a tenth of it is as good.
    data = random.Random(3).randbytes(3101 if cut is byte_by_byte else 30001)
    command = store_command()
    ul = acceptor()
    indications = feed(ul, STREAM[shape](command, data), cut)
    assert body(indications, command=True) == command
    assert body(indications, command=False) == data
    assert [f.is_command for f in indications if f.is_end] == [True, False]
    assert not ul.mid_pdu


ATTACKS = {
    "unknown PDU type": (b"\x09\0\0\0\0\4\0\0\0\0", 1),
    "PDU type zero": (b"\0\0\0\0\0\4\0\0\0\0", 1),
    "PDU type FF": (b"\xff" * 10, 1),
    "HTTP": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 1),
    "TLS": (b"\x16\3\1\2\0\1\0\1\xfc\3\3" + bytes(100), 1),
    "second A-ASSOCIATE-RQ": (rq_bytes(), 2),
    "P-DATA above the announced maximum": (b"\4\0\0\2\0\1", 6),
    "P-DATA of length FFFFFFFF": (b"\4\0\xff\xff\xff\xff", 6),
    "P-DATA too short for a PDV": (b"\4\0\0\0\0\2\0\0", 6),
    "PDV longer than its PDU": (b"\4\0\0\0\0\x08\0\0\0\x64\1\3xx", 6),
    "PDV of length 0": (b"\4\0\0\0\0\6\0\0\0\0\1\3", 6),
    "PDV of length 1": (b"\4\0\0\0\0\6\0\0\0\1\1\3", 6),
    "three bytes behind the last PDV": (b"\4\0\0\0\0\x0b\0\0\0\4\1\3xxabc", 6),
    "release of length FFFFFFFF": (b"\5\0\xff\xff\xff\xff", 6),
    "abort of length 100": (b"\7\0\0\0\0\x64" + bytes(100), 6),
}


@pytest.mark.parametrize("cut", [whole, byte_by_byte])
@pytest.mark.parametrize("name", ATTACKS)
def test_peer_is_aborted_when_it_sends(name: str, cut: object) -> None:
    attack, reason = ATTACKS[name]
    ul = acceptor()
    indications = feed(ul, attack + b"garbage behind it", cut)
    assert [type(f) for f in indications] == [Aborted]
    assert ul.take_output().startswith(provider_abort(reason))
    assert ul.state is State.STA13
    assert ul.artim


@pytest.mark.parametrize("first", [pdata(pdv(1, 3, b"x")), RELEASE_RQ, RELEASE_RP, encode_accept(ACCEPT)])
def test_acceptor_aborts_when_the_first_pdu_is_no_request(first: bytes) -> None:
    ul = acceptor(established=False)
    assert ul.feed(first) == []
    assert ul.take_output() == USER_ABORT  # AA-1
    assert ul.state is State.STA13


def test_acceptor_aborts_before_it_allocates_an_associate_request_of_four_gigabytes() -> None:
    ul = acceptor(established=False)
    ul.feed(b"\1\0\xff\xff\xff\xff")
    assert ul.take_output() == USER_ABORT


def test_acceptor_takes_an_associate_request_up_to_its_limit_and_no_longer() -> None:
    rq = rq_bytes()
    ul = acceptor(established=False, limits=PduLimits(max_associate_length=len(rq) - 6))
    assert len(ul.feed(rq)) == 1
    ul = acceptor(established=False, limits=PduLimits(max_associate_length=len(rq) - 7))
    assert ul.feed(rq) == []


def test_sixteen_thousand_tiny_items_end_in_an_abort() -> None:
    rq = rq_bytes()[6:74] + b"\x20\0\0\0" * 16000
    ul = acceptor(established=False)
    assert ul.feed(b"\1\0" + len(rq).to_bytes(4, "big") + rq) == []
    assert ul.take_output() == USER_ABORT


def test_released_by_the_peer() -> None:
    ul = acceptor()
    assert ul.feed(RELEASE_RQ) == [ReleaseRequested()]
    assert ul.may_send  # Sta8: what is under way may be finished
    ul.answer_release()
    assert ul.take_output() == RELEASE_RP
    assert ul.artim
    assert ul.connection_lost() == []
    assert ul.closing


def test_releases_and_is_confirmed() -> None:
    ul = requestor()
    ul.release()
    assert ul.take_output() == RELEASE_RQ
    assert feed(ul, pdata(pdv(1, 2, b"late"))) == [Fragment(1, False, True, memoryview(b"late"))]  # AR-6
    assert ul.feed(RELEASE_RP) == [Released()]
    assert ul.closing


def test_release_collision_ends_in_a_release_on_both_sides() -> None:
    ours, theirs = requestor(), acceptor()
    ours.release()
    theirs.release()
    a, b = ours.take_output(), theirs.take_output()
    assert ours.feed(b) == [ReleaseRequested()]
    assert theirs.feed(a) == []
    ours.answer_release()
    assert theirs.feed(ours.take_output()) == [ReleaseRequested()]
    theirs.answer_release()
    assert ours.feed(theirs.take_output()) == [Released()]


def test_requestor_is_accepted() -> None:
    ul = requestor(established=False)
    assert ul.take_output() == rq_bytes()
    assert ul.feed(encode_accept(ACCEPT)) == [Accepted(ACCEPT)]


def test_requestor_is_rejected() -> None:
    ul = requestor(established=False)
    assert ul.feed(b"\3\0\0\0\0\4\0\1\1\7") == [Rejected(AssociateReject(1, 1, 7))]
    assert ul.closing


def test_abort_of_the_peer_is_told_and_not_answered() -> None:
    ul = acceptor()
    (indication,) = ul.feed(provider_abort(6))
    assert isinstance(indication, Aborted)
    assert indication.by_peer
    assert indication.reason == 6
    assert ul.take_output() == b""
    assert ul.closing


def test_lost_connection_is_told_once() -> None:
    ul = acceptor()
    assert [type(i) for i in ul.connection_lost()] == [Aborted]
    assert ul.connection_lost() == []


def test_aborts_in_every_state_that_has_an_association() -> None:
    for make in (acceptor, requestor):
        ul = make()
        ul.abort()
        assert ul.take_output() == USER_ABORT
        assert ul.state is State.STA13


def test_using_the_machine_against_its_rules_is_a_bug_of_ours() -> None:
    with pytest.raises(RuntimeError):
        acceptor(established=False).release()


def test_what_comes_after_an_abort_is_read_and_dropped_up_to_a_limit() -> None:
    ul = acceptor(limits=PduLimits(max_discard=1 << 20))
    ul.feed(rq_bytes())
    ul.take_output()
    for _ in range(7):
        ul.feed(pdata(pdv(1, 0, bytes(131000))))
        assert not ul.closing
    ul.feed(pdata(pdv(1, 0, bytes(131000))))
    ul.feed(pdata(pdv(1, 0, bytes(131000))))
    assert ul.closing
    assert ul.take_output() == b""


@given(st.binary(max_size=400), st.integers(0, 1 << 30), st.booleans(), st.booleans())
def test_hostile_bytes_never_raise_and_never_hold_memory(data: bytes, seed: int, early: bool, ours: bool) -> None:
    ul = requestor(established=not early) if ours else acceptor(established=not early)
    feed(ul, data, random_cuts(seed))
    ul.artim_expired()
    ul.connection_lost()
    assert len(ul._carry) < 12


@given(st.data())
def test_mutated_streams_never_raise(data: st.DataObject) -> None:
    stream = bytearray(STREAM["many PDVs in a PDU"](store_command(), bytes(500)) + RELEASE_RQ)
    for _ in range(data.draw(st.integers(1, 5))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    ul = acceptor()
    for indication in feed(ul, bytes(stream), random_cuts(data.draw(st.integers(0, 99)))):
        if isinstance(indication, ReleaseRequested):
            ul.answer_release()
    ul.connection_lost()


def test_negotiates_nothing_by_itself() -> None:
    assert CT in {c.abstract_syntax for c in associate_rq().contexts}
