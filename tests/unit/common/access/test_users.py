"""`gantry.common.access.users`: what a user identity item says, and what is refused in words."""

import pytest

from gantry.common.access.users import LONGEST_PASSCODE, PresentedUser, presented_user, word_of
from gantry.common.errors import UserRefused


@pytest.mark.parametrize(
    ("kind", "primary", "secondary", "user"),
    [
        (1, b"jane", b"", PresentedUser("jane")),
        (1, " J\u00e4ne ".encode(), b"left out", PresentedUser("J\u00e4ne")),
        (2, b"jane", b"pass", PresentedUser("jane", b"pass")),
        (2, b"jane", b"p" * LONGEST_PASSCODE, PresentedUser("jane", b"p" * LONGEST_PASSCODE)),
        (5, b"a.b.c", b"", PresentedUser("", token="a.b.c")),
    ],
)
def test_name_passcode_and_token_are_read(kind: int, primary: bytes, secondary: bytes, user: PresentedUser) -> None:
    assert presented_user(kind, primary, secondary) == user


@pytest.mark.parametrize(
    ("kind", "primary", "secondary", "why"),
    [
        (0, b"jane", b"", "type 0 is none"),
        (6, b"jane", b"", "type 6 is none"),
        (255, b"jane", b"", "type 255 is none"),
        (3, b"ticket", b"", "Kerberos ticket is not accepted"),
        (4, b"<saml/>", b"", "SAML assertion is not accepted"),
        (1, b"", b"", "user name is empty"),
        (1, b"\xff\xfe", b"", "user name is empty"),
        (1, b"a\nb", b"", "not printable"),
        (1, b"a" * 65, b"", "longer than 64"),
        (2, b"jane", b"", "passcode is empty"),
        (2, b"jane", b"p" * (LONGEST_PASSCODE + 1), "longer than 1024 bytes"),
        (5, b"", b"", "Web Token is empty"),
        (5, b"a" * 16_385, b"", "too long"),
        (5, b"\xff", b"", "not ASCII"),
    ],
)
def test_what_is_not_accepted_is_refused_in_words(kind: int, primary: bytes, secondary: bytes, why: str) -> None:
    with pytest.raises(UserRefused, match=why) as refused:
        presented_user(kind, primary, secondary)
    assert "jane" not in str(refused.value)


def test_secrets_are_not_shown() -> None:
    assert "secret" not in repr(PresentedUser("jane", b"secret", "secret"))


def test_types_have_words() -> None:
    assert [word_of(kind) for kind in (0, 1, 2, 3, 4, 5, 6)] == [
        *("other", "username", "passcode", "kerberos", "saml", "jwt", "other"),
    ]
