"""`gantry.common.access.user_file`: users and hashes of passcodes."""

from base64 import b64decode

import pytest

from gantry.common.access import CallerRole
from gantry.common.access.user_file import NOBODY_S_PASSCODE, line_of, users_of
from gantry.common.errors import ConfigError

SALT = bytes(range(16))
LINE = line_of("jane", b"correct horse", SALT, [CallerRole.RADIOLOGIST])


def test_line_knows_its_passcode_and_no_other() -> None:
    user = users_of(f"# users\n\n{LINE}\n", "users")["jane"]
    assert user.roles == {CallerRole.RADIOLOGIST}
    assert user.passcode is not None
    assert user.passcode.is_of(b"correct horse")
    assert not user.passcode.is_of(b"correct horses")
    assert not NOBODY_S_PASSCODE.is_of(b"")


def test_hash_is_that_of_rfc_7914() -> None:
    """Section 12, the third vector; of its 64 bytes the first 32 are those of a hash of 32."""
    made = line_of("n", b"pleaseletmein", b"SodiumChloride")
    expected = "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
    assert b64decode(made.split("$")[-1]).hex() == expected


def test_user_without_a_passcode_and_without_roles() -> None:
    users = users_of("reading room:- roles=radiologist,technologist\nplain:-\n", "users")
    assert users["reading room"].passcode is None
    assert len(users["reading room"].roles) == 2
    assert users["plain"].roles == frozenset()


def test_secrets_are_neither_in_lines_nor_shown() -> None:
    assert "horse" not in LINE
    shown = repr(users_of(LINE, "users"))
    assert LINE.split("$")[-1].split()[0] not in shown


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("jane", "not NAME"),
        ("jane:secret", "not NAME"),
        (":-", "not NAME"),
        ("x" * 65 + ":-", "not NAME"),
        ("jane:- roles=nurse", "roles are some of"),
        ("jane:- role=patient", "not NAME"),
        (f"{LINE}\n{LINE}", "twice"),
        (LINE.replace("$16384$", "$1024$"), "power of 2|not NAME"),
        (LINE.replace("$16384$", "$16385$"), "power of 2"),
        (LINE.replace("$16384$", "$4194304$"), "power of 2"),
        (LINE.replace("$8$1$", "$0$1$"), "power of 2"),
        (LINE.replace("$8$1$", "$99$1$").replace("$16384$", "$65536$"), "159 MB"),
        ("jane:scrypt$16384$8$1$AAAA$AAAA", "16 bytes of salt"),
        ("jane:scrypt$16384$8$1$A$AAAA", "base64"),
    ],
)
def test_line_that_is_not_understood_is_refused_with_its_number(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as refused:
        users_of(f"# first\n{text}", "users")
    assert refused.value.line in (2, 3)
