"""Helpers for bytes on the wire: PDUs, PDVs, command sets, and ways to cut them."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Sequence

from gantry.common.dimse import Command, CommandField, Element
from gantry.common.ul import AssociateRequest, Fragment, Indication, ProposedContext, UpperLayer
from gantry.common.ul.pdu import encode_request

CT = "1.2.840.10008.5.1.4.1.1.2"
VERIFICATION = "1.2.840.10008.1.1"
EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
JPEG_2000 = "1.2.840.10008.1.2.4.90"
RELEASE_RQ = b"\5\0\0\0\0\4\0\0\0\0"
RELEASE_RP = b"\6\0\0\0\0\4\0\0\0\0"
USER_ABORT = b"\7\0\0\0\0\4\0\0\0\0"


def provider_abort(reason: int) -> bytes:
    return bytes((7, 0, 0, 0, 0, 4, 0, 0, 2, reason))


def associate_rq(
    contexts: Sequence[tuple[int, str, Sequence[str]]] = (
        (1, CT, (EXPLICIT, IMPLICIT)),
        (3, VERIFICATION, (IMPLICIT,)),
    ),
    **fields: object,
) -> AssociateRequest:
    values = {"called_ae_title": "GANTRY", "calling_ae_title": "TEST", "max_pdu_length": 16384} | fields
    return AssociateRequest(
        implementation_class_uid="1.2.3.4",
        contexts=tuple(ProposedContext(i, ab, tuple(ts)) for i, ab, ts in contexts),
        **values,  # type: ignore[arg-type]
    )


def rq_bytes(**fields: object) -> bytes:
    return encode_request(associate_rq(**fields))  # type: ignore[arg-type]


def pdv(context_id: int, control: int, data: bytes) -> bytes:
    return struct.pack(">IBB", len(data) + 2, context_id, control) + data


def pdata(*pdvs: bytes) -> bytes:
    body = b"".join(pdvs)
    return struct.pack(">BBI", 4, 0, len(body)) + body


def pdvs(context_id: int, control: int, data: bytes, size: int) -> list[bytes]:
    """`data` in fragments of `size`, the last one marked."""
    return [
        pdv(context_id, control | (2 if start + size >= len(data) else 0), data[start : start + size])
        for start in range(0, len(data), size)
    ]


def store_command(message_id: int = 1, sop_class: str = CT, sop_instance: str = "1.2.3.1") -> bytes:
    return Command(
        {
            Element.AFFECTED_SOP_CLASS_UID: sop_class,
            Element.COMMAND_FIELD: int(CommandField.C_STORE_RQ),
            Element.MESSAGE_ID: message_id,
            Element.PRIORITY: 0,
            Element.AFFECTED_SOP_INSTANCE_UID: sop_instance,
        }
    ).encode(data_set=True)


def echo_command(message_id: int = 1) -> bytes:
    return Command(
        {
            Element.AFFECTED_SOP_CLASS_UID: VERIFICATION,
            Element.COMMAND_FIELD: int(CommandField.C_ECHO_RQ),
            Element.MESSAGE_ID: message_id,
        }
    ).encode()


def whole(data: bytes) -> Iterator[bytes]:
    yield data


def byte_by_byte(data: bytes) -> Iterator[bytes]:
    for i in range(len(data)):
        yield data[i : i + 1]


def random_cuts(seed: int, largest: int = 40) -> object:
    def cut(data: bytes) -> Iterator[bytes]:
        rnd = random.Random(seed)
        pos = 0
        while pos < len(data):
            size = rnd.randint(1, largest)
            yield data[pos : pos + size]
            pos += size

    return cut


def feed(ul: UpperLayer, data: bytes, cut: object = whole) -> list[Indication]:
    indications: list[Indication] = []
    for piece in cut(data):  # type: ignore[operator]
        indications += ul.feed(piece)
    return indications


def body(indications: Sequence[Indication], *, command: bool) -> bytes:
    return b"".join(bytes(f.data) for f in indications if isinstance(f, Fragment) and f.is_command is command)
