"""What the form of a link sends (application/x-www-form-urlencoded, https://url.spec.whatwg.org/). Pure."""

from __future__ import annotations

from urllib.parse import parse_qs

LONGEST = 4096
"""Bytes of a form."""
_MOST_FIELDS = 8


def password_of(form: bytes) -> str:
    """The password of a form; "" where there is none, or what came is no form."""
    try:
        return parse_qs(form.decode("ascii"), max_num_fields=_MOST_FIELDS).get("password", [""])[0]
    except ValueError:
        return ""
