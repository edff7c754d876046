"""Finds the differences between the answers of two DICOMweb servers. Pure.

Matches of a search and metadata are compared by their attributes, instances by the digest of their data sets, without
file meta information, and frames by their bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from urllib.parse import parse_qsl

from gantry.common.dicom.encoding.part10 import MAX_META_LENGTH, PREAMBLE_LENGTH, parse_meta
from gantry.common.dicom.model.json_writing import Attributes
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.dicom.standard.vrs import vr_of
from gantry.common.errors import NotUnderstood
from gantry.common.web.errors import HttpProblem
from gantry.common.web.inflate import Gunzip
from gantry.common.web.multipart import MultipartParser, PartBegan, PartEnded
from gantry.services.frontdoor.shadow.comparing import (
    AnswerDifference,
    DifferenceKind,
    Steps,
    compare_objects,
    compare_sets,
)

SEARCH, METADATA, OBJECTS, FRAMES = "QIDO-RS", "WADO-RS metadata", "WADO-RS instances", "WADO-RS frames"
_KEYS = {"studies": "0020000D", "series": "0020000E", "instances": "00080018"}
_SOP_INSTANCE_UID = "00080018"
_PIECE = 1 << 18
_HEAD = PREAMBLE_LENGTH + MAX_META_LENGTH + 1024
_MOST_NESTED = 32
_NO_MATCH = 204


@dataclass(frozen=True, slots=True)
class WebAnswer:
    """A whole answer."""

    status: int
    content_type: str
    body: bytes
    is_gzip: bool = False


def compare_web(
    operation: str, target: str, gantry: WebAnswer, other: WebAnswer, may_differ: Collection[str]
) -> Steps[list[AnswerDifference]]:
    """The differences; `target` is the path below the base, with its query. Raises `NotUnderstood`."""
    statuses = [200 if answer.status == _NO_MATCH else answer.status for answer in (gantry, other)]
    if statuses[0] != statuses[1]:
        return [AnswerDifference(DifferenceKind.STATUS, 1, f"Gantry {gantry.status}, other {other.status}")]
    if statuses[0] != 200:
        return []
    try:
        if operation in (SEARCH, METADATA):
            mine, theirs = _attributes(gantry), _attributes(other)
            yield
            tags = (_requested_tags if operation == SEARCH else _all_tags)(target, mine, theirs) - frozenset(may_differ)
            key = _key(target) if operation == SEARCH else _SOP_INSTANCE_UID
            return (yield from compare_sets(key, tags, mine, theirs))
        if operation == OBJECTS:
            return (yield from _compare_objects(gantry, other))
        return (yield from _compare_frames(gantry, other))
    except HttpProblem as error:
        raise NotUnderstood(error.line) from error


def _attributes(answer: WebAnswer) -> list[Attributes]:
    body = plain_body(answer)
    if not body:
        return []
    try:
        data_sets = json.loads(body)
    except (ValueError, RecursionError):
        raise NotUnderstood("an answer that is not JSON") from None
    if not isinstance(data_sets, list) or not all(is_data_set(data_set) for data_set in data_sets):
        raise NotUnderstood("an answer that is not a list of data sets")
    return data_sets


def is_data_set(value: object, depth: int = 0) -> bool:
    """Whether it has the form of a data set in the DICOM JSON model."""
    if not isinstance(value, dict) or depth > _MOST_NESTED:
        return False
    for tag, attribute in value.items():
        if len(tag) != 8 or not _is_hexadecimal(tag) or tag != tag.upper() or not isinstance(attribute, dict):
            return False
        values = attribute.get("Value", [])
        if not isinstance(values, list):
            return False
        is_sequence = attribute.get("vr") == "SQ" or vr_of(int(tag, 16)) == b"SQ"
        if is_sequence and not all(is_data_set(item, depth + 1) for item in values):
            return False
    return True


def _is_hexadecimal(text: str) -> bool:
    return all(digit in "0123456789ABCDEFabcdef" for digit in text)


def _key(target: str) -> str:
    return _KEYS.get(target.partition("?")[0].rstrip("/").rpartition("/")[2], "")


def _requested_tags(target: str, mine: list[Attributes], theirs: list[Attributes]) -> frozenset[str]:
    """The attributes named in the query, and others that both return; an addition of only one archive is ignored."""
    both = {tag for match in mine for tag in match} & {tag for match in theirs for tag in match}
    named: set[str] = set()
    for name, value in parse_qsl(target.partition("?")[2]):
        for word in value.split(",") if name == "includefield" else [name]:
            if word in TAGS:
                named.add(f"{TAGS[word]:08X}")
            elif len(word) == 8 and _is_hexadecimal(word):
                named.add(word.upper())
    return frozenset(both | named) if mine and theirs else frozenset()


def _all_tags(target: str, mine: list[Attributes], theirs: list[Attributes]) -> frozenset[str]:
    return frozenset(tag for answer in (mine, theirs) for match in answer for tag in match)


def _compare_objects(gantry: WebAnswer, other: WebAnswer) -> Steps[list[AnswerDifference]]:
    sides: list[dict[str, tuple[str, bytes]]] = []
    for answer in (gantry, other):
        objects: dict[str, tuple[str, bytes]] = {}
        for part in _parts(answer):
            if part is not None:
                meta = parse_meta(bytes(part[:_HEAD]))
                digest = hashlib.sha256(memoryview(part)[meta.data_set_offset :]).digest()
                objects[meta.sop_instance_uid] = meta.transfer_syntax_uid, digest
            yield
        sides.append(objects)
    return compare_objects(*sides)


def _compare_frames(gantry: WebAnswer, other: WebAnswer) -> Steps[list[AnswerDifference]]:
    sides: list[list[bytes]] = []
    for answer in (gantry, other):
        digests: list[bytes] = []
        for part in _parts(answer):
            if part is not None:
                digests.append(hashlib.sha256(part).digest())
            yield
        sides.append(digests)
    return [] if sides[0] == sides[1] else [AnswerDifference(DifferenceKind.CONTENT)]


def _parts(answer: WebAnswer) -> Iterator[bytearray | bytes | None]:
    """The contents of the parts; None after each piece of the body that does not end a part."""
    body = plain_body(answer)
    kind = _parameters(answer.content_type)
    boundary = kind.get_param("boundary")
    if kind.get_content_maintype() != "multipart" or not isinstance(boundary, str):
        yield body
        return
    parser = MultipartParser(boundary)
    part = bytearray()
    for start in range(0, len(body), _PIECE):
        for event in parser.feed(body[start : start + _PIECE]):
            if isinstance(event, PartBegan):
                part = bytearray()
            elif isinstance(event, PartEnded):
                yield part
            else:
                part += event
        yield None
    parser.finish()


def _parameters(content_type: str) -> Message:
    message = Message()
    message["Content-Type"] = content_type
    return message


def plain_body(answer: WebAnswer) -> bytes:
    """The body without its content coding. Raises `HttpProblem` for an invalid one."""
    if not answer.is_gzip:
        return answer.body
    gunzip = Gunzip()
    whole = b"".join(gunzip.feed(answer.body))
    gunzip.finish()
    return whole


def operation_of(resource: str, *, count: bool, headers: Mapping[str, str]) -> str:
    """The name of the operation, "" for requests that are not mirrored: conditional and range requests, and requests
    for results that archives make in their own way (pictures, bulk data by its URL, counts)."""
    if count or any(name.lower() in ("range", "if-none-match", "if-modified-since", "if-match") for name in headers):
        return ""
    return _OPERATIONS.get(resource, "")


_OPERATIONS = {
    "SEARCH_STUDIES": SEARCH,
    "SEARCH_SERIES": SEARCH,
    "SEARCH_INSTANCES": SEARCH,
    "METADATA": METADATA,
    "OBJECTS": OBJECTS,
    "FRAMES": FRAMES,
}
