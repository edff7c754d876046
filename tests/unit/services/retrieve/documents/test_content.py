"""Content trees in words: each kind of value, and what they are made of."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from gantry.services.retrieve.documents.content import content_of, date, date_time, person, time
from tests.support.reports import code, item


def number(value: str, unit: str, words: str, scheme: str = "UCUM") -> Dataset:
    ds = Dataset()
    ds.NumericValue, ds.MeasurementUnitsCodeSequence = value, [code(words, unit)]
    ds.MeasurementUnitsCodeSequence[0].CodingSchemeDesignator = scheme
    return ds


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
    (item("NUM", MeasuredValueSequence=[number("5", "R-42B5", "kilogram", "SRT")]), "5 kilogram"),
    (item("NUM", MeasuredValueSequence=[number("7", "1", "beats", "99X")]), "7 beats"),
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
    content_item = content_of(content.to_json_dict())
    assert content_item.value == words
    assert not content_item.is_container


def test_a_text_that_is_too_long_is_said_to_be() -> None:
    long = {"0040A040": {"vr": "CS", "Value": ["TEXT"]}, "0040A160": {"vr": "UT", "BulkDataURI": "somewhere"}}
    assert content_of(long).value == "(too long to be shown here)"


@pytest.mark.parametrize(
    ("text", "shown"), [("20240131", "2024-01-31"), ("2024.01.31", "2024.01.31"), ("", ""), ("today", "today")]
)
def test_dates(text: str, shown: str) -> None:
    assert date(text) == shown


def test_times_and_both() -> None:
    assert [time(t) for t in ("10", "1011", "101112.123456", "10:11")] == ["10", "10:11", "10:11:12", "10:11"]
    assert [date_time(t) for t in ("20240131", "2024", "202401311011", "no")] == [
        *("2024-01-31", "2024", "2024-01-31 10:11", "no"),
    ]


def test_a_name_has_its_other_ways_of_writing_in_brackets() -> None:
    ds = Dataset()
    ds.PatientName = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    assert person(ds.to_json_dict(), 0x00100010) == "Yamada, Tarou (山田, 太郎, やまだ, たろう)"


def test_what_stands_where_a_class_belongs_is_shown_as_it_is() -> None:
    odd = item("IMAGE", ReferencedSOPSequence=[reference("1.2.9")]).to_json_dict()
    odd["00081199"]["Value"][0]["00081150"]["Value"] = ["Secretname, Eva 1950"]
    assert content_of(odd).value == "Secretname, Eva 1950 1.2.9"
