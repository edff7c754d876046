"""Structured reports as documents: the layout, and that content is never markup."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset

from gantry.services.retrieve.documents.report import report_as_html, report_as_text
from tests.support.reports import code, item


def report(*items: Dataset) -> dict[str, Any]:
    root = item("CONTAINER", "A report")
    del root.RelationshipType
    root.ContentSequence = list(items)
    document: dict[str, Any] = root.to_json_dict()
    return document


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
    root.ContentDate, root.ContentTime = "20240201", "0930"
    root.CompletionFlag, root.VerificationFlag, root.PreliminaryFlag = "COMPLETE", "VERIFIED", "PRELIMINARY"
    observer = Dataset()
    observer.VerifyingObserverName, observer.VerificationDateTime = "Smith^Ann", "20240201101500"
    root.VerifyingObserverSequence = [observer]
    assert report_as_text(root.to_json_dict()).splitlines()[2:] == [
        *("Patient: 山田, 太郎, P1", "Study: 2024-01-31", "Written: 2024-02-01 09:30"),
        *("State: complete, preliminary, verified", "Verified by: Smith, Ann, 2024-02-01 10:15:00"),
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
