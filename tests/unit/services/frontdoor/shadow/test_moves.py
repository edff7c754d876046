"""What a C-MOVE asks for."""

from __future__ import annotations

from typing import Any

import pytest

from gantry.common.dicom.standard.sop_classes import (
    PATIENT_ROOT_FIND,
    PATIENT_ROOT_MOVE,
    STUDY_ROOT_FIND,
    STUDY_ROOT_MOVE,
)
from gantry.common.errors import NotUnderstood
from gantry.services.frontdoor.shadow.moves import MoveRequest, move_request_of


def identifier(level: str, **values: Any) -> dict[str, Any]:
    keys = {tag[1:]: value if isinstance(value, list) else [value] for tag, value in values.items()}
    return {
        "00080052": {"vr": "CS", "Value": [level]},
        **{tag: {"vr": "UI", "Value": value} for tag, value in keys.items()},
    }


def test_the_keys_above_the_level_are_single_ones_and_those_at_it_are_all() -> None:
    question = identifier("SERIES", _0020000D="1.2", _0020000E=["1.2.1", "1.2.2"], _00100010="Doe")
    expected = {"STUDY": ("1.2",), "SERIES": ("1.2.1", "1.2.2")}
    assert move_request_of(question, STUDY_ROOT_MOVE) == MoveRequest(STUDY_ROOT_FIND, "SERIES", expected)


def test_a_patient_is_asked_for_with_the_patient_root() -> None:
    question = identifier("PATIENT ", _00100020="P1")
    assert move_request_of(question, PATIENT_ROOT_MOVE) == MoveRequest(
        PATIENT_ROOT_FIND, "PATIENT", {"PATIENT": ("P1",)}
    )


@pytest.mark.parametrize(
    "asked",
    [
        {},
        identifier("STUDY"),
        identifier("PATIENT", _00100020="P1"),
        identifier("STUDY", _0020000D="Shadow^Sue"),
        identifier("SERIES", _0020000D=["1.2", "1.3"], _0020000E="1.2.1"),
        identifier("IMAGE", _0020000D="1.2", _00080018="1.2.1.1"),
    ],
    ids=["nothing", "no key", "a patient of the study root", "no uid", "two studies", "no series"],
)
def test_what_is_no_c_move_is_not_understood(asked: dict[str, Any]) -> None:
    with pytest.raises(NotUnderstood, match="a C-MOVE"):
        move_request_of(asked, STUDY_ROOT_MOVE)
