"""What differs between the answers of two DICOMweb servers."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from gantry.common.dicom.encoding.part10 import file_meta
from gantry.common.errors import NotUnderstood
from gantry.common.web.multipart import closing, content_type, part_head
from gantry.services.frontdoor.shadow.comparing import AnswerDifference, DifferenceKind
from gantry.services.frontdoor.shadow.web_answers import (
    FRAMES,
    METADATA,
    OBJECTS,
    SEARCH,
    WebAnswer,
    compare_web,
    operation_of,
)
from tests.support.wire import CT, EXPLICIT, IMPLICIT

JSON = "application/dicom+json"


def searched(*matches: dict[str, Any], status: int = 200) -> WebAnswer:
    return WebAnswer(status, JSON, json.dumps(matches).encode())


def study(uid: str, **more: str) -> dict[str, Any]:
    tags = {"0020000D": ("UI", uid), **{tag[1:]: ("LO", value) for tag, value in more.items()}}
    return {tag: {"vr": vr, "Value": [value]} for tag, (vr, value) in tags.items()}


def instance(uid: str, data: bytes, syntax: str = EXPLICIT) -> bytes:
    return file_meta(CT, uid, syntax, "") + data.ljust(16)


def parts(*contents: bytes) -> WebAnswer:
    heads = [part_head("b", {"Content-Type": "application/dicom"}, first=not n) for n, _ in enumerate(contents)]
    body = b"".join(head + content for head, content in zip(heads, contents, strict=True)) + closing("b")
    return WebAnswer(200, content_type("b", "application/dicom"), body)


def compared(operation: str, target: str, gantry: WebAnswer, other: WebAnswer) -> list[AnswerDifference]:
    steps = compare_web(operation, target, gantry, other, ("00081190",))
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return list(end.value)


def test_a_search_is_compared_by_what_was_named_and_what_both_answer() -> None:
    mine = study("1.1", _00081030="Chest", _00081190="http://gantry", _00100010="ours alone")
    theirs = study("1.1", _00081030="Chest ", _00081190="http://old", _00080050="theirs alone")
    assert compared(SEARCH, "/studies?limit=2", searched(mine), searched(theirs)) == []
    named = compared(SEARCH, "/studies?includefield=AccessionNumber", searched(mine), searched(theirs))
    assert named == [AnswerDifference(DifferenceKind.ATTRIBUTES, 1, "AccessionNumber", ("1.1",))]
    lacking = compared(SEARCH, "/studies", searched(mine), searched())
    assert lacking == [AnswerDifference(DifferenceKind.ONLY_GANTRY, 1, "", ("1.1",))]


def test_no_match_is_no_match_with_whichever_status() -> None:
    assert compared(SEARCH, "/studies", searched(), WebAnswer(204, "", b"")) == []
    assert compared(SEARCH, "/studies", searched(), WebAnswer(404, "", b"")) == [
        AnswerDifference(DifferenceKind.STATUS, 1, "Gantry 200, other 404")
    ]
    assert compared(SEARCH, "/studies", WebAnswer(404, "", b"ours"), WebAnswer(404, "", b"theirs")) == []


def test_a_body_may_be_compressed() -> None:
    plain = searched(study("1.1"))
    packed = WebAnswer(200, JSON, gzip.compress(plain.body), is_gzip=True)
    assert compared(SEARCH, "/studies", plain, packed) == []


def test_all_attributes_of_metadata_count() -> None:
    mine = {"00080018": {"vr": "UI", "Value": ["1.2"]}, "00280010": {"vr": "US", "Value": [512]}}
    theirs = {"00080018": {"vr": "UI", "Value": ["1.2"]}}
    assert compared(METADATA, "/studies/1/metadata", searched(mine), searched(theirs)) == [
        AnswerDifference(DifferenceKind.ATTRIBUTES, 1, "Rows", ("1.2",))
    ]


def test_instances_are_compared_without_their_file_meta_information() -> None:
    mine = parts(instance("1.1", b"pixels"), instance("1.2", b"same"))
    assert compared(OBJECTS, "/studies/1", mine, parts(instance("1.2", b"same"), instance("1.1", b"pixels"))) == []
    theirs = parts(instance("1.1", b"PIXELS"), instance("1.2", b"same", IMPLICIT), instance("1.3", b""))
    assert compared(OBJECTS, "/studies/1", mine, theirs) == [
        AnswerDifference(DifferenceKind.ONLY_OTHER, 1, "", ("1.3",)),
        AnswerDifference(DifferenceKind.SYNTAXES, 1, "", ("1.2",)),
        AnswerDifference(DifferenceKind.CONTENT, 1, "", ("1.1",)),
    ]
    alone = WebAnswer(200, "application/dicom", instance("1.1", b"pixels"))
    assert compared(OBJECTS, "/studies/1/series/2/instances/1.1", alone, parts(instance("1.1", b"pixels"))) == []


def test_frames_are_compared_in_their_order() -> None:
    assert compared(FRAMES, "/…/frames/1,2", parts(b"one", b"two"), parts(b"one", b"two")) == []
    assert compared(FRAMES, "/…/frames/1,2", parts(b"one", b"two"), parts(b"two", b"one")) == [
        AnswerDifference(DifferenceKind.CONTENT)
    ]


@pytest.mark.parametrize(
    ("operation", "body", "kind"),
    [
        (SEARCH, b"<html>", "text/html"),
        (SEARCH, b'{"a": 1}', JSON),
        (SEARCH, b'[{"PatientName": {"vr": "PN"}}]', JSON),
        (SEARCH, b'[{"00400275": {"vr": "LO", "Value": [{"x": {}}]}}]', JSON),
        (SEARCH, b"[" * 5000, JSON),
        (SEARCH, b'[{"00400275": {"vr": "SQ", "Value": [' * 200 + b"]}}]" * 200, JSON),
        (OBJECTS, b"no Part 10 file", "application/dicom"),
        (OBJECTS, b"--b\r\n\r\ncut off", "multipart/related; boundary=b"),
        (FRAMES, b"", "multipart/related; boundary=b"),
    ],
    ids=["html", "object", "keyword", "item", "deep", "nested", "no-file", "cut-off", "empty"],
)
def test_rubbish_is_refused(operation: str, body: bytes, kind: str) -> None:
    with pytest.raises(NotUnderstood):
        compared(operation, "/studies", WebAnswer(200, kind, body), WebAnswer(200, kind, body))


def test_numbers_of_any_size_are_compared() -> None:
    huge = searched({"0020000D": {"vr": "UI", "Value": ["1.1"]}, "00201208": {"vr": "IS", "Value": [10**400]}})
    assert compared(SEARCH, "/studies", huge, huge) == []


def test_what_is_conditional_or_each_archives_own_is_not_asked_twice() -> None:
    assert operation_of("SEARCH_STUDIES", count=False, headers={}) == SEARCH
    assert operation_of("SEARCH_STUDIES", count=True, headers={}) == ""
    assert operation_of("OBJECTS", count=False, headers={"If-None-Match": '"1"'}) == ""
    assert operation_of("FRAMES", count=False, headers={"range": "bytes=0-1"}) == ""
    assert operation_of("RENDERED", count=False, headers={}) == ""


def test_an_answer_that_is_nested_without_end_is_not_read() -> None:
    body = b'{"00081140": {"vr": "SQ", "Value": [' * 200 + b"]}}" * 200
    with pytest.raises(NotUnderstood):
        compared(METADATA, "studies/1.2/metadata", WebAnswer(200, JSON, b"[%b]" % body), searched(study("1.2")))
