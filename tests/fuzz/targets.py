"""What is fuzzed: functions of bytes. Each ends, or raises an error that its reader promises; anything else is a fault.

The first bytes of an input choose between variants, so that one corpus reaches all of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from urllib.parse import parse_qsl

from gantry.common.config.hl7_sections import Hl7ProfileSettings
from gantry.common.deidentify.cleaning import CleaningSubject, DataSetCleaner
from gantry.common.deidentify.options import DeidentificationProfile, Option
from gantry.common.deidentify.pseudonyms import Pseudonyms
from gantry.common.dicom.encoding.correcting import Modification, corrected_header
from gantry.common.dicom.encoding.part10 import parse_meta
from gantry.common.dicom.encoding.values import header_values, leading_values
from gantry.common.dicom.model.json_reading import BulkPiece, encoded
from gantry.common.dicom.model.json_writing import attributes_of, to_json
from gantry.common.dicom.model.xml_reading import from_xml
from gantry.common.dicom.packing.form import read_table
from gantry.common.dicom.query.attributes import STANDARD
from gantry.common.dicom.query.identifiers import decode_identifier
from gantry.common.dicom.query.matching import Document, matches
from gantry.common.dicom.query.queries import Model, compile_query, compile_retrieve, extended_of
from gantry.common.dicom.query.where import studies_where
from gantry.common.dicom.scan.header import ScanLimits
from gantry.common.dicom.scan.scanner import Scanner
from gantry.common.dicom.standard.transfer_syntaxes import (
    DEFLATED_EXPLICIT_LITTLE_ENDIAN,
    EXPLICIT_BIG_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
    JPEG_BASELINE,
    encoding_of,
)
from gantry.common.dimse.assembler import Assembler, CommandReceived, DimseError
from gantry.common.dimse.command import Command, CommandError
from gantry.common.encryption.data_keys import read_wrapped
from gantry.common.encryption.form import Segments, read_head
from gantry.common.errors import GantryError, NotUnderstood
from gantry.common.events import decode as decode_event
from gantry.common.fhir.identifiers import Systems
from gantry.common.fhir.order_searches import order_search_of
from gantry.common.fhir.searches import search_of as fhir_search_of
from gantry.common.hl7.files import messages_in
from gantry.common.hl7.mllp import Frame, MllpDecoder, MllpError
from gantry.common.hl7.planning import header_of, plan, read
from gantry.common.hl7.problems import MessageRefused
from gantry.common.hl7.profiles import profile_of
from gantry.common.net.proxy import ProxyError, claim_and_proof
from gantry.common.net.proxy import decode as decode_proxy
from gantry.common.ul.indications import Fragment, Requested
from gantry.common.ul.negotiation import Ability, negotiate
from gantry.common.ul.pdu import AssociateAccept
from gantry.common.ul.upper_layer import UpperLayer
from gantry.common.web.codings import coding_of
from gantry.common.web.errors import HttpProblem
from gantry.common.web.multipart import MultipartParser
from gantry.common.web.negotiation import byte_range, etag_matches, parse_accept, parse_content_type
from gantry.common.web.routes import Match, Resource, find
from gantry.services.ingest.stow.codestreams import codestream
from gantry.services.ingest.stow.frame_boundaries import frames_in
from gantry.services.query.qido_parameters import search_of

Target = Callable[[bytes], None]

SYNTAXES = (
    IMPLICIT_LITTLE_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    EXPLICIT_BIG_ENDIAN,
    DEFLATED_EXPLICIT_LITTLE_ENDIAN,
    JPEG_BASELINE,
)
_LIMITS = ScanLimits(max_header=1 << 16, max_inflated=1 << 20, max_walked=1 << 20)
_PATIENT_NAME, _PATIENT_ID, _PIXEL_DATA, _SQ = 0x00100010, 0x00100020, 0x7FE00010, 0x00081140
_WANTED = frozenset((_PATIENT_NAME, _PATIENT_ID, 0x00080020, 0x00080030, 0x00080005, _SQ, 0x00400275, 0x00280010))
_CHANGE = Modification({"00100010": {"vr": "PN", "Value": [{"Alphabetic": "A^B"}]}}, "20261128", "GANTRY")
_CLEANER = DataSetCleaner(
    DeidentificationProfile(frozenset((Option.UIDS, Option.DEVICE))),
    Pseudonyms(bytes(32)),
    CleaningSubject("P", 3, frozenset(("A",))),
)
_PROFILES = [profile_of(Hl7ProfileSettings(sender="*"))]


def _pieces(data: bytes) -> Iterator[bytes]:
    """The bytes as a network may cut them; the first one says into how large pieces."""
    size = max(1, data[0]) if data else 1
    for at in range(1, len(data), size):
        yield data[at : at + size]


def association(data: bytes) -> None:
    """All that a requestor sends: PDUs, commands, fragments (PS3.8 9.3, PS3.7 6.3)."""
    upper, assembler = UpperLayer(requestor=False), None
    upper.connected()
    anything = Ability(scp=True, scu=True, extended=bytes([1, 1, 1]))
    for piece in _pieces(data):
        for indication in upper.feed(piece):
            if isinstance(indication, Requested) and upper.owes_answer:
                request = indication.request
                abilities = {context.abstract_syntax: anything for context in request.contexts}
                results, roles, accepted = negotiate(request, abilities)
                upper.accept(AssociateAccept("GANTRY", request.calling_ae_title, results=results, roles=roles))
                assembler = Assembler(accepted)
            elif type(indication) is Fragment and assembler is not None:
                try:
                    received = assembler.feed([indication])
                except DimseError:
                    return
                for one in received:
                    if isinstance(one, CommandReceived):
                        repr(one.command.field), one.command.has_data_set, one.command.sop_instance_uid
        upper.take_output()
        if upper.closing:
            return
    upper.connection_lost()


def command(data: bytes) -> None:
    """A command set (PS3.7 6.3.1), which is written as it was read."""
    try:
        read_command = Command.decode(data)
    except CommandError:
        return
    again = Command.decode(read_command.encode(data_set=read_command.has_data_set))
    assert again.field == read_command.field


def data_set(data: bytes) -> None:
    """A data set on its way in, and everything that is done with its header afterwards."""
    if len(data) < 3:
        return
    syntax = SYNTAXES[data[0] % len(SYNTAXES)]
    scanner = Scanner(syntax, _LIMITS)
    with suppress(GantryError):
        for piece in _pieces(data[1:]):
            scanner.feed(piece)
        scanner.finish()
    encoding = encoding_of(syntax)
    with suppress(NotUnderstood):
        leading_values(data[2:], syntax, _WANTED)
    if encoding.deflated:
        return
    with suppress(NotUnderstood):
        header_values(data[2:], syntax, _WANTED)
    with suppress(NotUnderstood):
        json.loads(to_json(attributes_of(data[2:], encoding, lambda path: path)))
    with suppress(NotUnderstood):
        corrected_header([data[2:]], encoding, [_CHANGE])
    with suppress(NotUnderstood):
        _CLEANER.elements(data[2:], encoding)


def part_10(data: bytes) -> None:
    """The beginning of a file (PS3.10 7.1)."""
    with suppress(GantryError):
        parse_meta(data)
    with suppress(GantryError):
        parse_meta(bytes(128) + b"DICM" + data)


def identifier(data: bytes) -> None:
    """An identifier of C-FIND, C-MOVE, C-GET, and the query that it means (PS3.4 C.4)."""
    if len(data) < 3:
        return
    syntax, model = SYNTAXES[data[0] % 3], list(Model)[data[1] % len(Model)]
    with suppress(GantryError):
        asked = decode_identifier(data[3:], syntax)
        for extended in (extended_of(b""), extended_of(bytes([data[2] & 1, data[2] >> 1 & 1, data[2] >> 2 & 1]))):
            with suppress(GantryError):
                compile_retrieve(asked, model, "default")
            query = compile_query(asked, model, "default", extended)
            matches(query, Document(query.level, {_PATIENT_NAME: {"Alphabetic": "A^B"}, _PATIENT_ID: "1"}))


def json_model(data: bytes) -> None:
    """A data set in the DICOM JSON model (PS3.18 F.2)."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return
    with suppress(NotUnderstood):
        for piece in encoded(document, lambda uri: len(uri), lambda uri: [BulkPiece(uri, 0, 1)]):
            assert isinstance(piece, bytes | BulkPiece)


def xml_model(data: bytes) -> None:
    """A data set in the Native DICOM Model (PS3.19 A.1)."""
    with suppress(NotUnderstood):
        for _ in encoded(from_xml(data), lambda uri: len(uri)):
            pass


def hl7(data: bytes) -> None:
    """What comes over MLLP: frames, messages, what they ask for."""
    decoder = MllpDecoder(1 << 16)
    with suppress(MllpError):
        for piece in _pieces(data):
            decoder.receive(piece)
            while isinstance(frame := decoder.next(), Frame):
                _message(frame.message)
    for message in messages_in(data[:4096]):
        _message(message)


def _message(raw: bytes) -> None:
    header_of(raw)
    with suppress(MessageRefused, NotUnderstood):
        plan(read(raw, _PROFILES), _PROFILES)


def multipart(data: bytes) -> None:
    """A body of STOW-RS (RFC 2046 5.1): it is cut alike however it comes."""
    told: list[bytes] = []
    for pieces in (_pieces(data), iter([data[1:]])):
        parser, found = MultipartParser("b", max_parts=50), bytearray()
        with suppress(GantryError):
            for piece in pieces:
                for event in parser.feed(piece):
                    found += event if isinstance(event, bytes) else b"|" + type(event).__name__.encode()
            parser.finish()
        told.append(bytes(found))
    assert told[0].startswith(told[1]) or told[1].startswith(told[0])


def headers(data: bytes) -> None:
    """Header fields and the path of a request."""
    text = data.decode("latin-1")
    for reader in (parse_accept, parse_content_type):
        with suppress(GantryError):
            reader(text)
    with suppress(HttpProblem):
        byte_range(text, 1000)
    etag_matches(text, '"a"')
    with suppress(GantryError):
        coding_of({"Accept-Encoding": text})
    with suppress(GantryError):
        find("GET", text)
    with suppress(GantryError):
        find("POST", f"/dicom-web/studies/{text}")


def search(data: bytes) -> None:
    """The query of a search: QIDO-RS, FHIR, and `--where` of commands."""
    text = data.decode("utf-8", "replace")
    parameters = parse_qsl(text, keep_blank_values=True, max_num_fields=None)
    for resource in (Resource.SEARCH_STUDIES, Resource.SEARCH_SERIES, Resource.SEARCH_INSTANCES):
        with suppress(GantryError):
            query = search_of(Match(resource), parameters).query
            matches(query, Document(query.level, {_PATIENT_NAME: {"Alphabetic": "A^B"}, _PATIENT_ID: "1"}))
    for kind in ("ImagingStudy", "Patient"):
        with suppress(GantryError):
            fhir_search_of(kind, parameters, Systems())
    with suppress(GantryError):
        order_search_of(parameters, Systems())
    with suppress(GantryError):
        studies_where(text.split("&"), "default", STANDARD)


def proxy(data: bytes) -> None:
    """A header of the PROXY protocol, version 2."""
    with suppress(ProxyError, GantryError):
        if decode_proxy(data) is not None:
            claim_and_proof(data)


def compressed(data: bytes) -> None:
    """Compressed pixel data of STOW-RS: what it is, and where its frames end."""

    def read_at(offset: int, length: int) -> bytes:
        return data[offset : offset + length] if offset >= 0 else b""

    with suppress(NotUnderstood):
        codestream(read_at)
    for count in (1, 3):
        with suppress(NotUnderstood):
            frames_in(read_at, count)


def event(data: bytes) -> None:
    """What lies on the log."""
    with suppress(GantryError):
        decode_event(data)


def lying(data: bytes) -> None:
    """What lies in an object store: heads of encrypted objects, tables of packed ones, data keys."""
    with suppress(GantryError):
        if read_head(data) is not None:
            Segments.of_stored(len(data))
    with suppress(GantryError):
        read_table(data, len(data))
    with suppress(GantryError):
        read_wrapped(f"state/keys/{'0' * 32}.0", data)


TARGETS: dict[str, Target] = {
    "association": association,
    "command": command,
    "data-set": data_set,
    "part-10": part_10,
    "identifier": identifier,
    "json": json_model,
    "xml": xml_model,
    "hl7": hl7,
    "multipart": multipart,
    "headers": headers,
    "search": search,
    "proxy": proxy,
    "compressed": compressed,
    "event": event,
    "lying": lying,
}


def planted(data: bytes) -> None:
    """A fault that a test has a run find."""
    if data[:1] == b"G" and data[1:2] == b"A" and data[2:3] == b"N":
        raise IndexError("planted")
