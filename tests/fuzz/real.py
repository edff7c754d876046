"""Real things as inputs: what a peer that means well sends. `python -m tests.fuzz --real` puts them among the seeds."""

from __future__ import annotations

import io
from pathlib import Path

import pydicom
from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from gantry.common.dicom.model.json_writing import attributes_of, to_json
from gantry.common.dicom.standard.transfer_syntaxes import encoding_of
from gantry.common.dimse.command import Command, CommandField, Element
from gantry.common.dimse.fragmenter import message_pdus
from gantry.common.encryption.data_keys import WrappedKey
from gantry.common.encryption.form import EncryptionHead
from gantry.common.errors import NotUnderstood
from gantry.common.net.proxy import Origin
from gantry.common.net.proxy import encode as encode_proxy
from gantry.common.ul.pdu import AssociateRequest, ProposedContext, RoleSelection, UserIdentity, encode_request
from tests.compat.events import GOLDEN
from tests.fuzz.targets import SYNTAXES
from tests.support.messages import order, patient

_SMALL = 4000
_CT, _FIND = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.2.2.1"
_XML = (
    '<?xml version="1.0"?><NativeDicomModel><DicomAttribute tag="00100010" vr="PN"><PersonName number="1">'
    "<Alphabetic><FamilyName>A</FamilyName></Alphabetic></PersonName></DicomAttribute>"
    '<DicomAttribute tag="00081140" vr="SQ"><Item number="1"><DicomAttribute tag="00081155" vr="UI"><Value number="1">'
    '1.2</Value></DicomAttribute></Item></DicomAttribute><DicomAttribute tag="7FE00010" vr="OW"><BulkData uri="a"/>'
    "</DicomAttribute></NativeDicomModel>"
)


def real_inputs() -> dict[str, list[bytes]]:
    """By target."""
    sets = _data_sets()
    return {
        "association": _associations(),
        "command": [_store().encode(data_set=True), _find().encode(data_set=True)],
        "data-set": [bytes([number, 255]) + raw for number, raw in sets],
        "part-10": [file.read_bytes()[:_SMALL] for file in _files()[:20]],
        "identifier": [bytes([number % 3, 1, 7]) + raw for number, raw in sets if number < 3],
        "json": [_as_json(number, raw) for number, raw in sets if number != 3],
        "xml": [_XML.encode()],
        "hl7": [b"\xff\x0b" + one + b"\x1c\r" for one in (order(), order("CA"), patient("A40", mrg={1: "2"}))],
        "multipart": [b"\x09--b\r\nContent-Type: application/dicom\r\n\r\nabc\r\n--b\r\n\r\n\r\n--b--\r\n"],
        "headers": [
            b'multipart/related; type="application/dicom"; transfer-syntax=*, application/dicom+json;q=0.5',
            b"bytes=5-9",
            b'W/"a", "b"',
            b"br;q=1.0, gzip;q=0.2",
            b"/dicom-web/studies/1.2/series/1.3/instances/1.4/frames/1,2",
        ],
        "search": [
            b"PatientName=A*&StudyDate=20200101-20201231&includefield=all&limit=5&orderby=-StudyDate&fuzzymatching=true",
            b"00081140.00081155=1.2&PatientID=1%5C2&offset=1&cursor=abc",
            b"identifier=urn:dicom:uid|urn:oid:1.2&started=ge2020-01-01&patient=Patient/a&_count=5&modality=CT",
        ],
        "proxy": [encode_proxy(Origin("192.0.2.7", 50000), ("192.0.2.1", 104), lambda claim: bytes(32))],
        "compressed": [_pixels(file) for file in _files() if "JPEG" in file.name or "J2K" in file.name][:10],
        "event": [file.read_bytes() for file in sorted(GOLDEN.glob("*.msgpack"))],
        "lying": [
            EncryptionHead(bytes(16), bytes(32)).encoded() + bytes(100),
            WrappedKey(bytes(16), 0, "a", b"wrapped").encoded(),
        ],
    }


def _files() -> list[Path]:
    here = Path(pydicom.__file__).parent / "data" / "test_files"
    return [file for file in sorted(here.glob("*.dcm")) if file.stat().st_size < 60_000]


def _as_json(number: int, raw: bytes) -> bytes:
    try:
        return to_json(attributes_of(raw, encoding_of(SYNTAXES[number]), lambda path: path))
    except NotUnderstood:  # it was longer than what is taken of it
        return b"{}"


def _data_sets() -> list[tuple[int, bytes]]:
    """Numbers of `SYNTAXES`, and a data set in that one."""
    found = []
    for file in _files():
        try:
            read = dcmread(file, force=False)
            syntax = str(read.file_meta.TransferSyntaxUID)
        except (InvalidDicomError, AttributeError):
            continue
        if syntax not in SYNTAXES:
            continue
        raw = io.BytesIO(file.read_bytes())
        raw.seek(128 + 4 + 12 + int(read.file_meta[0x00020000].value) if 0x00020000 in read.file_meta else 0)
        found.append((SYNTAXES.index(syntax), raw.read(_SMALL)))
    return found


def _pixels(file: Path) -> bytes:
    content = file.read_bytes()
    at = max(content.find(b"\xff\xd8\xff"), content.find(b"\xff\x4f\xff\x51"))
    return content[max(at, 0) : max(at, 0) + _SMALL]


def _store() -> Command:
    return Command(
        {
            Element.AFFECTED_SOP_CLASS_UID: _CT,
            Element.COMMAND_FIELD: CommandField.C_STORE_RQ,
            Element.MESSAGE_ID: 1,
            Element.PRIORITY: 0,
            Element.AFFECTED_SOP_INSTANCE_UID: "1.2.3",
        }
    )


def _find() -> Command:
    return Command(
        {Element.AFFECTED_SOP_CLASS_UID: _FIND, Element.COMMAND_FIELD: CommandField.C_FIND_RQ, Element.MESSAGE_ID: 7}
    )


def _associations() -> list[bytes]:
    contexts = (ProposedContext(1, _CT, SYNTAXES[:2]), ProposedContext(3, _FIND, SYNTAXES[:1]))
    plain = encode_request(AssociateRequest("GANTRY", "CT1", 16384, "1.2.3", "X", contexts=contexts))
    rich = encode_request(
        AssociateRequest(
            "GANTRY",
            "CT1",
            16384,
            "1.2.3",
            "X",
            async_window=(1, 1),
            roles=(RoleSelection(_CT, True, True),),
            extended=((_FIND, b"\1\1\1"),),
            contexts=contexts,
            user_identity=UserIdentity(2, True, b"user", b"word"),
        )
    )
    store = message_pdus(1, _store().encode(data_set=True), b"\x08\0\x16\0\4\0\0\0001.2\0", 16384)
    find = message_pdus(3, _find().encode(data_set=True), b"\x08\0\x52\0\6\0\0\0STUDY ", 16384)
    release = b"\x05\0\0\0\0\x04\0\0\0\0"
    return [b"\xff" + plain + store + find + release, b"\x07" + rich + find + release, b"\xff" + rich]
