"""Paths of exported objects."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from hypothesis import given
from hypothesis import strategies as st

from gantry.cli.exporting.names import Exported, MediaNames, ReadableNames


def exported(
    patient: str = "P1", study: str = "1.1", series: str = "1.1.1", instance: str = "1.1.1.1", **fields: str
) -> Exported:
    return Exported(patient, study, series, instance, "1.2", "1.2.840.10008.1.2.1", fields)


def test_a_path_says_what_the_object_is() -> None:
    path = ReadableNames().path(
        exported(StudyDate="20240131", StudyDescription="CT chest", SeriesNumber="2", Modality="CT", InstanceNumber="7")
    )
    assert re.fullmatch(r"P1/20240131_CT-chest_[0-9a-f]{6}/002_CT_[0-9a-f]{6}/00007_[0-9a-f]{10}\.dcm", str(path))


def test_objects_that_say_the_same_lie_apart() -> None:
    names = ReadableNames()
    paths = {names.path(exported(instance=f"1.1.1.{number}", InstanceNumber="1")) for number in range(100)}
    assert len(paths) == 100


@given(st.text(), st.text(), st.text())
def test_no_value_leads_out_of_the_folder(patient: str, description: str, number: str) -> None:
    path = ReadableNames().path(exported(patient, StudyDescription=description, InstanceNumber=number))
    assert len(path.parts) == 4
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", part) for part in path.parts)
    assert not any(part.startswith(".") or len(part) > 150 for part in path.parts)


def test_no_folder_is_a_device_where_the_export_is_read() -> None:
    folders = [ReadableNames().path(exported(patient)).parts[0] for patient in ("AUX", "nul", "Com1.x", "LPT9", "CONE")]
    assert folders == ["_AUX", "_nul", "_Com1.x", "_LPT9", "CONE"]


def test_media_have_names_of_eight_characters_counted_on_each_level() -> None:
    names = MediaNames()
    assert names.path(exported()) == PurePosixPath("PT000001/ST000001/SE000001/IM000001")
    assert names.path(exported(instance="1.1.1.2")) == PurePosixPath("PT000001/ST000001/SE000001/IM000002")
    assert names.path(exported(series="1.1.2", instance="1")) == PurePosixPath("PT000001/ST000001/SE000002/IM000001")
    assert names.path(exported("P2", "1.2")) == PurePosixPath("PT000002/ST000001/SE000001/IM000001")
    assert names.path(exported()) == PurePosixPath("PT000001/ST000001/SE000001/IM000001")


def test_media_names_go_on_where_an_earlier_run_ended() -> None:
    first, second = MediaNames(), MediaNames()
    for number in range(3):
        instance = exported(instance=f"1.1.1.{number}")
        second.learn(instance, first.path(instance))
    assert second.path(exported(instance="9")) == PurePosixPath("PT000001/ST000001/SE000001/IM000004")
    assert second.path(exported("P2")) == PurePosixPath("PT000002/ST000001/SE000001/IM000001")
