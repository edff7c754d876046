"""Statements: signed, read, and refused where anything in them was changed."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import OKPKey

from gantry.common.errors import ConfigError, Corrupt
from gantry.common.evidence import StatedSegment, Statement, keys_in, read, sign, stated

KEY, OTHER = (OKPKey.generate_key("Ed25519") for _ in range(2))
STATEMENT = Statement(7, 1_000_000, 900, "ab" * 32, (stated("facts/default/1/a.seg", b"one"), stated("b", b"two")))


def test_statement_is_read_as_it_was_signed() -> None:
    content, signed = sign(STATEMENT, KEY)
    assert read(content, [OTHER, KEY]) == signed
    assert signed.statement == STATEMENT
    assert signed.key_id == KEY.thumbprint()
    # By the public key alone, and by any tool that knows JWS.
    (public,) = keys_in(KEY.as_pem(private=False).decode(), "key.pem")
    assert read(content, [public]) == signed
    token = jws.deserialize_compact(json.loads(content)["statement"], public, algorithms=["Ed25519"])
    assert json.loads(token.payload)["root"] == STATEMENT.root


def test_statement_of_somebody_else_does_not_count() -> None:
    content, _ = sign(STATEMENT, OTHER)
    with pytest.raises(Corrupt, match="none of the keys has signed it"):
        read(content, [KEY])


def _changed(**values: Any) -> bytes:
    whole = json.loads(sign(STATEMENT, KEY)[0])
    return json.dumps(whole | values).encode()


ROWS = [[segment.key, segment.size, segment.sha256] for segment in STATEMENT.segments]
UNSIGNED = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=") + ".e30."


CHANGED = [
    b"",
    b"[]",
    b"\xff\xfe",
    b'{"statement": 1}',
    _changed(segments=ROWS[:1]),
    _changed(segments=ROWS[::-1]),
    _changed(segments=[*ROWS, ROWS[0]]),
    _changed(segments=[[ROWS[0][0], 4, ROWS[0][2]], ROWS[1]]),
    _changed(segments="ab"),
    _changed(statement=UNSIGNED),
    _changed(statement=json.loads(sign(STATEMENT, KEY)[0])["statement"][:-4]),
    json.dumps(
        {
            "statement": jws.serialize_compact(
                {"alg": "Ed25519", "typ": "gantry-evidence"}, b"[1]", KEY, algorithms=["Ed25519"]
            ),
            "segments": [],
        }
    ).encode(),
    json.dumps(
        {
            "statement": jws.serialize_compact({"alg": "Ed25519"}, b"{}", KEY, algorithms=["Ed25519"]),
            "segments": [],
        }
    ).encode(),
]


@pytest.mark.parametrize("content", CHANGED, ids=range(len(CHANGED)))
def test_what_was_changed_is_corrupt(content: bytes) -> None:
    with pytest.raises(Corrupt):
        read(content, [KEY])


def test_keys_are_read_from_a_file_one_after_the_other() -> None:
    text = KEY.as_pem(private=True).decode() + "# since May\n" + OTHER.as_pem(private=False).decode()
    first, second = keys_in(text, "keys.pem")
    assert (first.is_private, second.is_private) == (True, False)
    assert [first.thumbprint(), second.thumbprint()] == [KEY.thumbprint(), OTHER.thumbprint()]


OF_ANOTHER_KIND = OKPKey.generate_key("X25519").as_pem(private=False).decode()


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", OF_ANOTHER_KIND],
    ids=["empty", "no PEM", "no key", "another kind"],
)
def test_a_file_without_a_key_of_the_kind_is_refused_in_words(text: str) -> None:
    with pytest.raises(ConfigError, match=r"keys\.pem: no key of the kind Ed25519"):
        keys_in(text, "keys.pem")


def test_segment_is_known_by_its_bytes() -> None:
    assert stated("k", b"x") == StatedSegment(
        "k", 1, "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    )
