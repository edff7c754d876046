"""`gantry.common.access.sealing`: what was sealed here opens here, for its use, and nowhere else."""

import base64
import json

import pytest

from gantry.common.access.sealing import LONGEST, Seal, secrets_of
from gantry.common.errors import NotUnderstood

ONE, TWO = b"1" * 32, b"2" * 32
HERE = "https://archive.example"
CONTENT = {"name": "jane", "n": [1, 2]}


def test_what_was_sealed_opens_and_shows_nothing() -> None:
    seal = Seal([ONE], "session", HERE)
    sealed = seal.seal(CONTENT)
    assert seal.open(sealed) == CONTENT
    assert "jane" not in sealed
    assert seal.seal(CONTENT) != sealed  # never the same twice


@pytest.mark.parametrize(
    "other",
    [Seal([TWO], "session", HERE), Seal([ONE], "grant", HERE), Seal([ONE], "session", "https://other.example")],
    ids=["another secret", "another use", "another installation"],
)
def test_seal_of_others_does_not_open(other: Seal) -> None:
    assert Seal([ONE], "session", HERE).open(other.seal(CONTENT)) is None


def test_secrets_are_changed_without_ending_sessions() -> None:
    before = Seal([ONE], "session", HERE)
    after = Seal([TWO, ONE], "session", HERE)
    assert after.open(before.seal(CONTENT)) == CONTENT
    assert before.open(after.seal(CONTENT)) is None
    assert Seal([TWO], "session", HERE).open(after.seal(CONTENT)) == CONTENT


def test_each_changed_character_is_noticed() -> None:
    seal = Seal([ONE], "session", HERE)
    sealed = seal.seal(CONTENT)
    for at in range(0, len(sealed), 7):
        changed = sealed[:at] + ("A" if sealed[at] != "A" else "B") + sealed[at + 1 :]
        content = seal.open(changed)
        # The last character of base64 may have bits that say nothing.
        assert content is None or changed[:-1] == sealed[:-1]


@pytest.mark.parametrize("head", [{"alg": "none"}, {"alg": "dir", "enc": "A128CBC-HS256"}, {"alg": "RSA1_5"}, {}, []])
def test_algorithm_is_not_the_browser_s_choice(head: object) -> None:
    seal = Seal([ONE], "session", HERE)
    good = seal.seal(CONTENT)
    own = json.loads(base64.urlsafe_b64decode(good.split(".")[0] + "=="))
    changed = {**own, **head} if isinstance(head, dict) and head else head
    encoded = base64.urlsafe_b64encode(json.dumps(changed).encode()).decode().rstrip("=")
    assert seal.open(".".join([encoded, *good.split(".")[1:]])) is None


@pytest.mark.parametrize("text", ["", ".", "....", "a.b.c.d.e", "é", "x" * (LONGEST + 1), "eyJhbGciOiJub25lIn0.e30."])
def test_anything_else_is_nothing(text: str) -> None:
    assert Seal([ONE], "session", HERE).open(text) is None


def test_what_no_browser_would_keep_is_not_sealed() -> None:
    with pytest.raises(NotUnderstood):
        Seal([ONE], "session", HERE).seal({"name": "x" * LONGEST})


def test_secrets_are_lines() -> None:
    assert secrets_of(f"# new\n{'a' * 32}\n\n{'b' * 40}\n") == [b"a" * 32, b"b" * 40]
    for text in ("", "# none\n", "short\n"):
        with pytest.raises(NotUnderstood):
            secrets_of(text)
