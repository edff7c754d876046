"""The data of a link's form (application/x-www-form-urlencoded, https://url.spec.whatwg.org/). Pure."""

from __future__ import annotations

from urllib.parse import parse_qs

LONGEST = 4096
"""Most bytes of a form."""
_MOST_FIELDS = 8


def password_of(form: bytes) -> str:
    """The password of a form; "" if there is none, or the body is not a form."""
    try:
        return parse_qs(form.decode("ascii"), max_num_fields=_MOST_FIELDS).get("password", [""])[0]
    except ValueError:
        return ""
