"""Which objects are refused for what is in their bulk."""

from __future__ import annotations

import pytest

from gantry.common.deidentify.pixels import Contents, refusal
from gantry.common.dicom.standard.sop_classes import STORAGE_SOP_CLASSES
from tests.support.elements import CT

US = STORAGE_SOP_CLASSES["UltrasoundImageStorage"]


@pytest.mark.parametrize(
    ("contents", "refused", "refused_when_checked"),
    [
        (Contents(CT, True), False, False),
        (Contents(CT, True, "YES"), True, False),
        (Contents(CT, True, "NO"), False, False),
        (Contents(CT, True, "", ("DERIVED", "SECONDARY", "SCREEN SAVE")), True, False),
        (Contents(CT, True, "NO", ("DERIVED", "SECONDARY", "SCREEN SAVE")), False, False),
        (Contents(CT, True, "", ("DERIVED", "SECONDARY", "REFORMATTED")), False, False),
        (Contents(CT, True, "", (), "WSD"), True, False),
        (Contents(US, True), True, False),
        (Contents(US, True, "NO"), False, False),
        (Contents(US, False), False, False),
        (Contents("1.2.3.4", True), True, False),
        (Contents(STORAGE_SOP_CLASSES["EncapsulatedPDFStorage"], False), True, True),
        (Contents(STORAGE_SOP_CLASSES["BasicVoiceAudioWaveformStorage"], False), True, True),
        (Contents(STORAGE_SOP_CLASSES["SurfaceScanMeshStorage"], False), True, True),
        (Contents(STORAGE_SOP_CLASSES["TwelveLeadECGWaveformStorage"], False), False, False),
    ],
)
def test_is_refused_unless_it_is_known_that_nobody_is_named_in_it(
    contents: Contents, refused: bool, refused_when_checked: bool
) -> None:
    assert bool(refusal(contents, checked=False)) is refused
    assert bool(refusal(contents, checked=True)) is refused_when_checked
