"""Structured reports in words: each kind of value, and nothing of it as markup."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset

from gantry.services.retrieve.documents.content import content_of, date, date_time, person, time
from gantry.services.retrieve.documents.report import report_as_html, report_as_text


def code(meaning: str, value: str = "1") -> Dataset:
    ds = Dataset()
    ds.CodeValue, ds.CodingSchemeDesignator, ds.CodeMeaning = value, "99X", meaning
    return ds


def item(kind: str, name: str = "", relationship: str = "CONTAINS", **more: Any) -> Dataset:
    ds = Dataset()
    ds.ValueType, ds.RelationshipType = kind, relationship
    if name:
        ds.ConceptNameCodeSequence = [code(name)]
    for keyword, value in more.items():
        setattr(ds, keyword, value)
    return ds


def number(value: str, unit: str, words: str) -> Dataset:
    ds = Dataset()
    ds.NumericValue, ds.MeasurementUnitsCodeSequence = value, [code(words, unit)]
    return ds


def report(*items: Dataset) -> dict[str, Any]:
    root = item("CONTAINER", "A report")
    del root.RelationshipType
    root.ContentSequence = list(items)
    found: dict[str, Any] = root.to_json_dict()
    return found


def reference(uid: str, frames: list[int] | None = None) -> Dataset:
    ds = Dataset()
    ds.ReferencedSOPClassUID, ds.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", uid
    if frames:
        ds.ReferencedFrameNumber = frames
    return ds


VALUES = [
    (item("TEXT", TextValue="seen"), "seen"),
    (item("CODE", ConceptCodeSequence=[code("Left")]), "Left"),
    (item("CODE", ConceptCodeSequence=[code("", "T-1")]), "T-1"),
    (item("CODE"), ""),
    (item("NUM", MeasuredValueSequence=[number("12.5", "mm", "millimeter")]), "12.5 mm"),
    (item("NUM", MeasuredValueSequence=[number("3", "1", "no units")]), "3"),
    (
        item("NUM", MeasuredValueSequence=[number("60", "{H.B.}/min", "heart beats per minute")]),
        "60 heart beats per minute",
    ),
    (item("NUM", MeasuredValueSequence=[], NumericValueQualifierCodeSequence=[code("Not a number")]), "Not a number"),
    (item("NUM"), "no value"),
    (item("DATE", Date="20240131"), "2024-01-31"),
    (item("TIME", Time="101112.5"), "10:11:12"),
    (item("DATETIME", DateTime="20240131101112+0100"), "2024-01-31 10:11:12 +0100"),
    (item("UIDREF", UID="1.2.3"), "1.2.3"),
    (item("PNAME", PersonName="Doe^Jane^A^Dr"), "Doe, Dr Jane A"),
    (item("IMAGE", ReferencedSOPSequence=[reference("1.2.9", [2])]), "CT Image 1.2.9, frame 2"),
    (item("IMAGE", ReferencedSOPSequence=[reference("1.2.9", [2, 4])]), "CT Image 1.2.9, frames 2, 4"),
    (item("COMPOSITE", ReferencedSOPSequence=[reference("1.2.9")]), "CT Image 1.2.9"),
    (item("SCOORD", GraphicType="POINT", GraphicData=[1.0, 2.0]), "point"),
    (item("SCOORD", GraphicType="POLYLINE", GraphicData=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), "polyline of 3 points"),
    (item("SCOORD3D", GraphicType="POINT", GraphicData=[1.0, 2.0, 3.0]), "point"),
    (item("TCOORD", TemporalRangeType="BEGIN"), "begin in time"),
    (item("NEWER", TextValue="not known"), ""),
    (item("", ReferencedContentItemIdentifier=[1, 3, 2]), "\N{RIGHTWARDS ARROW} item 1.3.2"),
]


@pytest.mark.parametrize(("content", "words"), VALUES, ids=[f"{n}-{i.ValueType}" for n, (i, _) in enumerate(VALUES)])
def test_each_kind_of_value_is_said_in_words(content: Dataset, words: str) -> None:
    found = content_of(content.to_json_dict())
    assert found.value == words
    assert not found.is_container


def test_what_belongs_to_something_stands_below_it_and_is_indented() -> None:
    finding = item("TEXT", "Finding", TextValue="A mass\r\nof 2 cm.")
    finding.ContentSequence = [item("CODE", "Side", "HAS CONCEPT MOD", ConceptCodeSequence=[code("Left")])]
    section = item("CONTAINER", "Findings")
    section.ContentSequence = [finding]
    text = report_as_text(report(item("PNAME", "Observer", "HAS OBS CONTEXT", PersonName="Doe"), section))
    assert text.splitlines() == [
        *("A report", "========", "Observer (context): Doe", "", "Findings"),
        *("  Finding: A mass", "    of 2 cm.", "    Side (modifier): Left"),
    ]


def test_the_head_says_of_whom_when_and_whether_somebody_stands_for_it() -> None:
    root = Dataset()
    root.PatientName, root.PatientID, root.StudyDate = "山田^太郎", "P1", "20240131"
    root.ContentDate, root.ContentTime, root.CompletionFlag, root.VerificationFlag = (
        "20240201",
        "0930",
        "COMPLETE",
        "VERIFIED",
    )
    observer = Dataset()
    observer.VerifyingObserverName, observer.VerificationDateTime = "Smith^Ann", "20240201101500"
    root.VerifyingObserverSequence = [observer]
    assert report_as_text(root.to_json_dict()).splitlines()[2:] == [
        *("Patient: 山田, 太郎, P1", "Study: 2024-01-31", "Written: 2024-02-01 09:30"),
        *("State: complete, verified", "Verified by: Smith, Ann, 2024-02-01 10:15:00"),
    ]


def test_nothing_that_an_object_says_is_markup() -> None:
    evil = '</p><script src="x">&'
    root = report(item("TEXT", evil, TextValue=evil), item("CONTAINER", evil))
    root["00100010"] = {"vr": "PN", "Value": [{"Alphabetic": evil}]}
    page = report_as_html(root)
    assert "<script" not in page
    assert page.count("&lt;script src=&quot;x&quot;&gt;&amp;") == 4
    assert page.count("<p>") == page.count("</p>") == 1


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"0040A730": {"vr": "SQ"}},
        {"0040A730": {"vr": "SQ", "Value": [{}, {"0040A040": {"vr": "CS"}}]}},
        {"0040A730": {"vr": "SQ", "Value": [{"0040A040": {"vr": "CS", "Value": ["NUM"]}, "0040A300": {"vr": "UN"}}]}},
        {"0040A043": {"vr": "LO", "Value": ["no sequence"]}, "00100010": {"vr": "PN", "Value": [None]}},
        {"0040A730": {"vr": "SQ", "Value": [{"0040A160": {"vr": "UT", "BulkDataURI": "x"}}]}},
    ],
    ids=["empty", "no items", "empty items", "no number", "no codes", "a long text"],
)
def test_a_tree_that_is_none_is_still_shown(broken: dict[str, Any]) -> None:
    assert report_as_text(broken).startswith("Report\n======\n") or "0040A043" in broken
    assert "</html>" in report_as_html(broken)


def test_a_text_that_is_too_long_is_said_to_be() -> None:
    long = {"0040A040": {"vr": "CS", "Value": ["TEXT"]}, "0040A160": {"vr": "UT", "BulkDataURI": "somewhere"}}
    assert content_of(long).value == "(too long to be shown here)"


@pytest.mark.parametrize(
    ("said", "shown"), [("20240131", "2024-01-31"), ("2024.01.31", "2024.01.31"), ("", ""), ("today", "today")]
)
def test_dates(said: str, shown: str) -> None:
    assert date(said) == shown


def test_times_and_both() -> None:
    assert [time(t) for t in ("10", "1011", "101112.123456", "10:11")] == ["10", "10:11", "10:11:12", "10:11"]
    assert [date_time(t) for t in ("20240131", "2024", "202401311011", "no")] == [
        *("2024-01-31", "2024", "2024-01-31 10:11", "no"),
    ]


def test_a_name_has_its_other_ways_of_writing_in_brackets() -> None:
    ds = Dataset()
    ds.PatientName = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    assert person(ds.to_json_dict(), 0x00100010) == "Yamada, Tarou (山田, 太郎, やまだ, たろう)"
