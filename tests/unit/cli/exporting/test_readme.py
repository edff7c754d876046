"""The text beside exported objects."""

from __future__ import annotations

from gantry.cli.exporting.readme import readme
from gantry.common.deidentify.options import profile_of


def test_warns_of_names_where_there_are_some() -> None:
    text = readme(3, 0, None, media=False)
    assert "3 DICOM objects" in text
    assert "name patients" in text
    assert "DICOMDIR" not in text


def test_says_how_objects_were_de_identified_and_what_is_missing() -> None:
    text = readme(3, 2, profile_of(["uids"], pixels_checked=True), media=True)
    assert "113110" in text
    assert "2 objects are not here" in text
    assert "has confirmed" in text
    assert "DICOMDIR" in text
