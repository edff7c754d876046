"""Events as bytes: what is written is read again, and whatever else comes is an `UndecodableEvent`."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, get_args

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.dicom.scan.layout import BulkElement, PixelData
from gantry.common.errors import UndecodableEvent
from gantry.common.events import (
    SCHEMA_VERSION,
    AuditedInstances,
    CommitmentFailure,
    CommitmentReference,
    Event,
    InstanceStored,
    ReceiptReference,
    RequestAnswers,
    StoreSpace,
    decode,
    encode,
)

_U32, _U63 = st.integers(0, 0xFFFFFFFF), st.integers(0, (1 << 63) - 1)
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "str": _TEXT,
    "int": _U63,
    "bool": st.booleans(),
    "bytes": st.binary(max_size=50),
    "bytes | None": st.none() | st.binary(max_size=50),
    "PixelData | None": st.none()
    | st.builds(PixelData, _U32, _TEXT, _U63, st.none() | _U63, st.none() | st.lists(_U32).map(tuple)),
    "tuple[str, ...]": st.lists(_TEXT).map(tuple),
    "tuple[ReceiptReference, ...]": st.lists(st.builds(ReceiptReference, _TEXT, _TEXT, _TEXT)).map(tuple),
    "tuple[BulkElement, ...]": st.lists(st.builds(BulkElement, _U32, _TEXT, _U63, _U63)).map(tuple),
    "tuple[CommitmentReference, ...]": st.lists(st.builds(CommitmentReference, _TEXT, _TEXT)).map(tuple),
    "tuple[CommitmentFailure, ...]": st.lists(st.builds(CommitmentFailure, _TEXT, _TEXT, _U32)).map(tuple),
    "tuple[RequestAnswers, ...]": st.lists(st.builds(RequestAnswers, _TEXT, _U32, _U63, _TEXT)).map(tuple),
    "tuple[AuditedInstances, ...]": st.lists(st.builds(AuditedInstances, _TEXT, _TEXT, _TEXT, _TEXT, _TEXT, _U32)).map(
        tuple
    ),
    "tuple[StoreSpace, ...]": st.lists(st.builds(StoreSpace, _TEXT, _U63, _U63)).map(tuple),
}


def _made(cls: type[Event]) -> st.SearchStrategy[Event]:
    return st.builds(cls, **{f.name: _PLAIN[str(f.type)] for f in fields(cls)})


EVENTS = st.one_of([_made(cls) for cls in get_args(Event)])


@given(EVENTS)
def test_an_event_is_read_as_it_was_written(event: Event) -> None:
    assert decode(encode(event)) == event


@given(EVENTS, _TEXT, _U63)
def test_a_field_that_a_newer_producer_added_is_ignored(event: Event, name: str, value: int) -> None:
    kind, version, body = msgpack.unpackb(encode(event))
    assert decode(msgpack.packb([kind, version, {"new_" + name: value, **body}])) == event


def test_a_field_with_a_default_may_be_missing() -> None:
    """What an older producer wrote."""
    event = InstanceStored(
        *("default", "t", "0" * 32, 1, "1.2", "1.3", "1.4", "1.5", "1.6", "k", 9, 1, 8, "blake3:00", b"h", 1)
    )
    kind, version, body = msgpack.unpackb(encode(replace(event, calling_ae_title="MODALITY")))
    for name in ("bulk", "pixel_data", "calling_ae_title", "called_ae_title", "peer_address"):
        del body[name]
    assert decode(msgpack.packb([kind, version, body])) == event


def test_a_field_without_a_default_may_not_be_missing() -> None:
    with pytest.raises(UndecodableEvent):
        decode(msgpack.packb(["ObjectLost", SCHEMA_VERSION, {"partition": "default"}]))


@pytest.mark.parametrize("version", [0, SCHEMA_VERSION + 1, "1", None, 1.5])
def test_an_unknown_version_is_said(version: object) -> None:
    with pytest.raises(UndecodableEvent, match="unknown version"):
        decode(msgpack.packb(["InstanceStored", version, {}]))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        msgpack.packb(None),
        msgpack.packb([]),
        msgpack.packb(["InstanceStored", 1]),
        msgpack.packb(["Nobody", 1, {}]),
        msgpack.packb([["InstanceStored"], 1, {}]),
        msgpack.packb(["InstanceStored", 1, None]),
        msgpack.packb(["InstanceStored", 1, {"bulk": 7}]),
        msgpack.packb(["InstanceStored", 1, {"pixel_data": [1]}]),
    ],
)
def test_what_is_no_event_is_undecodable(payload: bytes) -> None:
    with pytest.raises(UndecodableEvent):
        decode(payload)


@given(st.binary(max_size=60) | st.recursive(st.none() | _U32 | st.text(max_size=5), st.lists).map(msgpack.packb))
def test_no_bytes_raise_anything_else(payload: bytes) -> None:
    with pytest.raises(UndecodableEvent):
        decode(payload)


@given(EVENTS, st.data())
def test_a_cut_payload_is_undecodable(event: Event, data: st.DataObject) -> None:
    payload = encode(event)
    with pytest.raises(UndecodableEvent):
        decode(payload[: data.draw(st.integers(0, len(payload) - 1))])
