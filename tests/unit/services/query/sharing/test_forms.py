"""What the form of a link sends."""

from __future__ import annotations

import pytest

from gantry.services.query.sharing.forms import password_of


@pytest.mark.parametrize(
    ("form", "password"),
    [
        (b"password=seven+blue+horses", "seven blue horses"),
        (b"password=gr%C3%BCn%26blau&more=1", "gr\u00fcn&blau"),
        (b"password=one&password=two", "one"),
        (b"", ""),
        (b"password=", ""),
        (b"other=1", ""),
        (b"\xff", ""),
        (b"a=1&" * 20 + b"password=x", ""),
    ],
)
def test_password_is_the_field_of_that_name_or_none(form: bytes, password: str) -> None:
    assert password_of(form) == password
