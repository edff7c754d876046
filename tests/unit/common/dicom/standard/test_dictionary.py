"""The data dictionary, with pydicom's own functions as its oracle."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import DicomDictionary, get_entry, keyword_for_tag, tag_for_keyword

from gantry.common.dicom.standard.dictionary import DICTIONARY, TAGS, entry_of, keyword_of_tag


def test_it_is_pydicoms_table() -> None:
    assert DICTIONARY == DicomDictionary
    assert len(TAGS) > 4000
    for keyword, tag in TAGS.items():
        assert tag == tag_for_keyword(keyword)
    assert "" not in TAGS


@given(
    st.one_of(
        st.integers(0, 0xFFFFFFFF),
        st.sampled_from(sorted(DicomDictionary)),
        st.builds(
            lambda group, element: group << 24 | element, st.sampled_from([0x50, 0x60]), st.integers(0, 0xFFFFFF)
        ),
        st.integers(0x00203100, 0x002031FF),
        st.integers(0x7F000000, 0x7FFF00FF),
    )
)
def test_a_tag_is_what_pydicom_says_it_is(tag: int) -> None:
    try:
        expected = get_entry(tag)
    except KeyError:
        assert entry_of(tag) is None
    else:
        assert entry_of(tag) == expected
    assert keyword_of_tag(tag) == keyword_for_tag(tag)


@pytest.mark.parametrize(
    ("tag", "keyword"),
    [(0x60003000, "OverlayData"), (0x60FE3000, "OverlayData"), (0x7FE00010, "PixelData"), (0x00091001, "")],
)
def test_groups_that_repeat_have_one_entry(tag: int, keyword: str) -> None:
    assert keyword_of_tag(tag) == keyword
