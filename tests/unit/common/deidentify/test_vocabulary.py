"""Words that may stay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.deidentify.vocabulary import cleaned_text, words_of


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("CT THORAX W CONTRAST", "CT THORAX W CONTRAST"),
        ("t1_mprage_sag for Dr. Kowalski", "t1 mprage sag"),
        ("Brenner, Jane 1956-03-04", ""),
        ("K\u212a \u017fpine", ""),
    ],
)
def test_only_words_about_images_stay(text: str, left: str) -> None:
    assert cleaned_text(text) == left


def test_words_of_a_name_never_stay() -> None:
    names = words_of(["Hand^Jane", "Müller=Foot"])
    assert names == {"hand", "jane", "müller", "foot"}
    assert cleaned_text("left HAND and foot", names) == "left"


@given(st.text())
def test_what_is_left_is_clean_already(text: str) -> None:
    left = cleaned_text(text)
    assert cleaned_text(left) == left


def test_a_value_is_not_longer_than_its_vr_allows() -> None:
    assert len(cleaned_text("abdomen " * 30)) <= 64
    assert cleaned_text("abdomen pelvis thorax", vr=b"SH") == "abdomen pelvis"
