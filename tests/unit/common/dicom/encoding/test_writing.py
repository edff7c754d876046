"""Attributes of the DICOM JSON model as elements, read by pydicom."""

from __future__ import annotations

from typing import Any

import pytest

from gantry.common.dicom.encoding.charsets import character_set
from gantry.common.dicom.encoding.writing import ElementWriter, Unrepresentable
from gantry.common.dicom.standard.transfer_syntaxes import encoding_of
from gantry.common.errors import NotUnderstood
from tests.support.dicom import BIG_ENDIAN, EXPLICIT, IMPLICIT, from_bytes

SYNTAXES = [IMPLICIT, EXPLICIT, BIG_ENDIAN]


def value(vr: str, *values: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_pydicom_reads_what_was_written(syntax: str) -> None:
    writer = ElementWriter(encoding_of(syntax), character_set(["ISO_IR 100"]))
    items = [{"00080100": value("SH", "X1"), "0040A168": value("SQ", {"00080104": value("LO", "Kopf")})}, {}]
    written = writer.elements({
        "00080005": value("CS", "ISO_IR 100"),
        "00081032": value("SQ", *items),
        "00100010": value("PN", {"Alphabetic": "Müller^Jörg"}),
        "00100030": value("DA"),
        "00101030": value("DS", 70.5),
        "00120064": value("SQ"),
        "00181401": value("LO", "a", "b"),
        "00189004": value("CS", "PRODUCT"),
        "00200013": value("IS", 7),
        "00280010": value("US", 512, 3),
        "00280009": value("AT", "00181063"),
        "00189073": value("FD", 1.5),
        "0020000D": value("UI", "1.2.3"),
    })  # fmt: skip
    ds = from_bytes(written, syntax)
    assert ds.PatientName == "Müller^Jörg"
    assert (ds.PatientWeight, ds.InstanceNumber, ds.AcquisitionDuration) == (70.5, 7, 1.5)
    assert (ds.AcquisitionDeviceProcessingCode, ds.Rows) == (["a", "b"], [512, 3])
    assert (ds.FrameIncrementPointer, ds.StudyInstanceUID) == (0x00181063, "1.2.3")
    assert ds["PatientBirthDate"].is_empty
    first, second = ds.ProcedureCodeSequence
    assert (first.CodeValue, first[0x0040A168].value[0].CodeMeaning, len(second)) == ("X1", "Kopf", 0)
    assert len(ds.DeidentificationMethodCodeSequence) == 0


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_text_that_the_character_set_has_not_is_refused_as_such(syntax: str) -> None:
    writer = ElementWriter(encoding_of(syntax), character_set(["ISO_IR 100"]))
    with pytest.raises(Unrepresentable):
        writer.element(0x00100010, value("PN", {"Ideographic": "山田"}))
    # PS3.5 6.1.2.2: these are in the default repertoire, whatever the Specific Character Set is.
    with pytest.raises(Unrepresentable):
        writer.element(0x00080060, value("CS", "Ü"))


@pytest.mark.parametrize(
    ("tag", "element"),
    [
        (0x00280010, value("US", "many")),
        (0x00280010, value("US", 1 << 16)),
        (0x00280009, value("AT", "soon")),
        (0x00100010, {"vr": "XX"}),
        (0x00100010, {}),
        (0x00420011, value("OB")),
        (0x00081030, value("LO", "x" * 70_000)),
    ],
)
def test_what_is_no_value_of_its_vr_is_not_understood(tag: int, element: dict[str, Any]) -> None:
    with pytest.raises(NotUnderstood):
        ElementWriter(encoding_of(EXPLICIT), character_set([])).element(tag, element)
