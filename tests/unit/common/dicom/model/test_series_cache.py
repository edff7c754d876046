"""Text of data sets that resemble each other: the same as of each alone."""

from __future__ import annotations

from random import Random

import pydicom
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from gantry.common.dicom.model.json_writing import attributes_of, to_json
from gantry.common.dicom.model.series_cache import Texts
from gantry.common.dicom.standard.transfer_syntaxes import encoding_of
from tests.support.dicom import BIG_ENDIAN, EXPLICIT, IMPLICIT, bundled_file, data_sets, to_bytes

NATIVE = (EXPLICIT, IMPLICIT, BIG_ENDIAN)


def expect_same(texts: Texts, data: bytes, syntax: str, number: int) -> None:
    encoding = encoding_of(syntax)

    def uri(path: str) -> str:
        return f"{number}:{path}"

    fragments = texts.attributes(data, encoding, uri)
    assert b"{%b}" % b",".join(fragments[tag] for tag in sorted(fragments)) == to_json(
        dict(sorted(attributes_of(data, encoding, uri).items()))
    )


@given(st.lists(st.tuples(data_sets(), st.sampled_from(NATIVE)), min_size=1, max_size=4))
def test_text_that_remembers_says_the_same_of_each(many: list[tuple[Dataset, str]]) -> None:
    texts = Texts()
    # Twice: what was remembered of one, with another place of its bulk, is not said of the other.
    for number, (data_set, syntax) in enumerate(many * 2):
        expect_same(texts, to_bytes(data_set, syntax), syntax, number)


def test_text_that_remembers_keeps_character_sets_apart() -> None:
    texts, name = Texts(), b"\x10\x00\x10\x00PN\x04\x00A\xc4^B"
    fragments = [
        texts.attributes(b"\x08\x00\x05\x00CS\x0a\x00" + terms + name, encoding_of(EXPLICIT), str)[0x00100010]
        for terms in (b"ISO_IR 100", b"ISO_IR 144", b"ISO_IR 100")
    ]
    assert [fragment.decode() for fragment in fragments] == [
        f'"00100010":{{"vr":"PN","Value":[{{"Alphabetic":"A{letter}^B"}}]}}' for letter in "ÄФÄ"
    ]


def test_slices_of_a_series_say_each_its_own() -> None:
    texts, dice = Texts(), Random(3)
    ds = pydicom.dcmread(bundled_file("CT_small.dcm"), stop_before_pixels=True)
    plain = [
        element.tag for element in ds if element.VR in ("LO", "SH", "DS", "IS", "CS", "UI") and element.tag > 0x00080005
    ]
    for number in range(30):
        # Values change, elements go and come: what was the same for long may be another at any time.
        variant = Dataset()
        variant.update(ds)
        variant.SOPInstanceUID, variant.InstanceNumber = generate_uid(), number
        for tag in dice.sample(plain, dice.choice((0, 1, 3, 30))):
            if dice.random() < 0.4:
                del variant[tag]
            else:
                variant.add_new(tag, "LO", f"{number}" * dice.choice((1, 2, 3)))
        if dice.random() < 0.3:
            variant.add_new(0x00091099, "OB", bytes(2000))  # bulk in the middle
        expect_same(texts, to_bytes(variant, EXPLICIT), EXPLICIT, number)
