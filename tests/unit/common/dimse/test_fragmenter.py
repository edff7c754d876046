"""Messages as PDUs: never longer than the peer's maximum, and they come back as they were."""

from hypothesis import given
from hypothesis import strategies as st

from gantry.common.dimse import Assembler, DataReceived, PduFrame, message_pdus
from gantry.common.dimse.fragmenter import payload_limit
from gantry.common.ul import PduLimits, UpperLayer
from tests.support.wire import CT, EXPLICIT, body, rq_bytes, store_command
from tests.unit.common.ul.test_upper_layer import acceptor

maxima = st.sampled_from([0, 1, 7, 100, 128, 4096, 16384, 131072, 1 << 31])


def pdu_lengths(stream: bytes) -> list[int]:
    lengths, pos = [], 0
    while pos < len(stream):
        lengths.append(int.from_bytes(stream[pos + 2 : pos + 6], "big"))
        pos += 6 + lengths[-1]
    assert pos == len(stream)
    return lengths


def received(stream: bytes) -> tuple[bytes, bytes]:
    ul = acceptor(limits=PduLimits(max_pdu_length=1 << 20))
    indications = ul.feed(stream)
    messages = Assembler({1}).feed(indications)
    assert [isinstance(m, DataReceived) for m in messages][:1] == [False]
    return body(indications, command=True), body(indications, command=False)


@given(st.binary(max_size=3000), maxima)
def test_a_message_in_memory_comes_back_within_the_peers_maximum(data: bytes, peer_max: int) -> None:
    command = store_command()
    stream = message_pdus(1, command, data, peer_max)
    assert received(stream) == (command, data)
    assert all(length <= max(peer_max or 1 << 40, 22) for length in pdu_lengths(stream))


@given(st.integers(0, 9000), st.sampled_from([100, 128, 1000, 4096]), st.integers(1, 4000))
def test_a_streamed_message_comes_back_within_the_peers_maximum(size: int, peer_max: int, frame_size: int) -> None:
    data = bytes(i & 0xFF for i in range(size))
    frame = PduFrame(peer_max, frame_size)
    for _ in range(2):  # the buffer is used again
        command = store_command()
        frame.begin(1, command)
        stream, pos = b"", 0
        while True:
            filled = 0
            for hole in frame.holes:
                part = data[pos : pos + len(hole)]
                hole[: len(part)] = part
                pos += len(part)
                filled += len(part)
            stream += frame.finish(filled, is_end=pos == size)
            frame.reopen(filled)
            if pos == size:
                break
        assert received(stream) == (command, data)
        assert all(length <= peer_max for length in pdu_lengths(stream))


def test_payloads_are_even_and_bounded() -> None:
    assert payload_limit(0) == 131066
    assert payload_limit(16384) == 16378
    assert payload_limit(16383) == 16376
    assert payload_limit(1) == 16


def test_a_requests_bytes_are_what_an_upper_layer_takes() -> None:
    ul = UpperLayer(requestor=False)
    ul.connected()
    assert ul.feed(rq_bytes(contexts=[(1, CT, [EXPLICIT])]))
