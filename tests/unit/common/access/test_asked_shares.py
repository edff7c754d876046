"""What may be asked to be shared."""

from __future__ import annotations

from typing import Any

import pytest

from gantry.common.access.asked_shares import asked_share, password_bytes
from gantry.common.errors import NotUnderstood

NOW = 1_700_000_000_000_000
DAY = 24 * 3600 * 1_000_000
ASKED = {"studies": ["1.2", "1.3"], "expires": "2023-11-20T00:00:00Z", "reason": "second opinion"}


def test_asking_says_studies_an_end_and_a_reason() -> None:
    order = asked_share({**ASKED, "studies": ["1.2", "1.3", "1.2"]}, NOW, 30 * DAY)
    assert (order.studies, order.openings, order.password, order.download) == (("1.2", "1.3"), 0, "", False)
    assert order.expires_at == 1_700_438_400_000_000
    whole = asked_share({**ASKED, "password": "long enough", "openings": 3, "download": True}, NOW, 30 * DAY)
    assert (whole.password, whole.openings, whole.download) == ("long enough", 3, True)
    assert "long enough" not in repr(whole)
    copies = asked_share({**ASKED, "deidentify": "teaching"}, NOW, 30 * DAY)
    assert (order.deidentify, copies.deidentify) == ("", "teaching")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"studies": []}, "studies"),
        ({"studies": "1.2"}, "studies"),
        ({"studies": ["1.2", 3]}, "UID"),
        ({"studies": ["../etc"]}, "UID"),
        ({"studies": ["1.2"] * 51}, "studies"),
        ({"expires": "2023-11-20T00:00:00"}, "zone"),
        ({"expires": "tomorrow"}, "zone"),
        ({"expires": 5}, "zone"),
        ({"expires": "2023-11-14T00:00:00Z"}, "days"),
        ({"expires": "2024-11-20T00:00:00Z"}, "days"),
        ({"reason": ""}, "reason"),
        ({"reason": "two\nlines"}, "reason"),
        ({"reason": "x" * 201}, "reason"),
        ({"password": "short"}, "password"),
        ({"password": None}, "password"),
        ({"openings": -1}, "openings"),
        ({"openings": 1001}, "openings"),
        ({"openings": True}, "openings"),
        ({"download": 1}, "download"),
        ({"deidentify": True}, "deidentify"),
        ({"scope": "all"}, "object"),
    ],
)
def test_what_is_not_understood_is_refused_in_words(change: dict[str, Any], words: str) -> None:
    with pytest.raises(NotUnderstood, match=words):
        asked_share({**ASKED, **change}, NOW, 30 * DAY)
    with pytest.raises(NotUnderstood):
        asked_share([ASKED], NOW, 30 * DAY)


def test_password_is_the_same_from_every_keyboard() -> None:
    assert password_bytes("gr\u00fcn") == password_bytes("gru\u0308n") != password_bytes("grun")
    assert password_bytes("\ud800")  # half of a character is no password, and no error
