"""The pages of a link for people outside."""

from __future__ import annotations

import pytest

from gantry.common.access.shares import ShareRefusal
from gantry.services.query.sharing.pages import POLICY, STATUS, WORDS, message_page, refused, welcome


def test_page_of_a_link_has_a_form_and_no_script() -> None:
    page = welcome("2026-12-24, 18:00 UTC", password=False)
    assert '<form method="post">' in page
    assert "2026-12-24, 18:00 UTC" in page
    assert "password" not in page
    assert "<script" not in page
    assert "form-action 'self'" in POLICY
    assert "script-src" not in POLICY


def test_password_is_asked_for_where_there_is_one_and_a_wrong_one_is_named() -> None:
    page = welcome("soon", password=True)
    assert 'type="password" name="password"' in page
    assert "not the password" not in page
    assert "not the password" in welcome("soon", password=True, wrong=True)


@pytest.mark.parametrize("refusal", ShareRefusal)
def test_every_refusal_has_words_and_a_status_that_is_no_success(refusal: ShareRefusal) -> None:
    assert STATUS[refusal] >= 400
    assert WORDS[refusal] in refused(refusal)
    assert "<form" not in refused(refusal)


@pytest.mark.parametrize(("seconds", "minutes"), [(1, 1), (60, 1), (61, 2), (900, 15)])
def test_who_waits_is_told_how_long(seconds: int, minutes: int) -> None:
    assert f"Try again in {minutes} minutes." in refused(ShareRefusal.WAITING, seconds)


def test_words_are_text_and_no_markup() -> None:
    assert "<b>" not in message_page("<b>", "<b>")
    assert "&lt;b&gt;" in welcome("<b>", password=False)
