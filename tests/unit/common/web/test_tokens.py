"""`gantry.common.web.tokens`: names, roles and hashes."""

import hashlib
from pathlib import Path

import pytest

from gantry.common.access import CallerRole
from gantry.common.errors import ConfigError
from gantry.common.web.tokens import KnownToken, Tokens

TOKEN = "0123456789abcdef-token"


def tokens_of(folder: Path, text: str) -> Tokens:
    file = folder / "tokens"
    file.write_text(text)
    return Tokens(file)


def test_line_may_name_roles(tmp_path: Path) -> None:
    tokens = tokens_of(tmp_path, f"ris:{TOKEN} roles=service,technologist\nold:another-token-of-ours\n")
    assert tokens.find(TOKEN) == KnownToken("ris", frozenset((CallerRole.SERVICE, CallerRole.TECHNOLOGIST)))
    assert tokens.find("another-token-of-ours") == KnownToken("old")
    assert tokens.find(f"{TOKEN} roles=service,technologist") is None


def test_token_may_stand_as_its_hash(tmp_path: Path) -> None:
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    tokens = tokens_of(tmp_path, f"ris:sha256={digest.upper()} roles=service\n")
    assert tokens.name_of(TOKEN) == "ris"
    assert tokens.name_of(f"sha256={digest}") is None
    assert tokens.name_of(digest) is None


def test_token_may_have_colons(tmp_path: Path) -> None:
    assert tokens_of(tmp_path, "ris:0123:4567:89ab:cdef\n").name_of("0123:4567:89ab:cdef") == "ris"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (f"ris:{TOKEN} roles=nurse", "roles are some of technologist"),
        (f"ris:{TOKEN} roles=", "roles are some of"),
        ("ris: roles=service", "not NAME:TOKEN"),
        ("ris:short roles=service", "not NAME:TOKEN"),
    ],
)
def test_line_with_a_mistake_is_refused(tmp_path: Path, line: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        tokens_of(tmp_path, f"{line}\n")
