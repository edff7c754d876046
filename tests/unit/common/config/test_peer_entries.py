"""`gantry.common.config.peer_entries`: one peer as JSON."""

from __future__ import annotations

import pytest

from gantry.common.config.peer_entries import LONGEST_ENTRY, changed_fields, fields_of, peer_from, peer_in, text_of
from gantry.common.config.policy import Permission
from gantry.common.errors import ConfigError

CT9 = {"ae_title": "CT9", "host": "192.0.2.9", "port": 104, "may": ["store", "echo"]}
BAD: list[tuple[str, object, str]] = [
    ("a list", [CT9], "an object"),
    ("a text", "CT9", "an object"),
    ("no address", {"may": ["store"]}, "`host` or `from` is needed"),
    ("a name without from", {"host": "ct.example.org"}, "`from` must list"),
    ("an unknown key", {"host": "192.0.2.9", "colour": "red"}, "colour: unknown key"),
    ("an unknown permission", {"host": "192.0.2.9", "may": ["fly"]}, "may.0:"),
    ("a port out of range", {"host": "192.0.2.9", "port": 70000}, "port:"),
    ("another title", {"ae_title": "CT8", "host": "192.0.2.9"}, "ae_title: differs from the one in the path"),
    ("a title of the wrong type", {"ae_title": 9, "host": "192.0.2.9"}, "ae_title: differs from the one in the path"),
    ("a range that is none", {"from": ["192.0.2.0/99"]}, "from.0:"),
    ("a certificate without tls", {"host": "192.0.2.9", "certificate": ["CT9"]}, "`certificate` needs `tls: true`"),
    ("a destination without port", {"host": "192.0.2.9", "move_destination": True}, "a move destination needs"),
    ("a rate that is no number", {"host": "192.0.2.9", "max_bytes_per_second": 1e400}, "max_bytes_per_second:"),
    ("a key that is no line", {"host": "192.0.2.9", "a\nb": 1}, "a?b: unknown key"),
]


@pytest.mark.parametrize(("entry", "words"), [bad[1:] for bad in BAD], ids=[bad[0] for bad in BAD])
def test_what_is_wrong_with_an_entry_is_said_with_its_field(entry: object, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        peer_from(entry, "CT9")
    assert words in caught.value.reason
    assert caught.value.reason.isprintable()


def test_a_reason_does_not_grow_with_what_was_sent() -> None:
    with pytest.raises(ConfigError) as caught:
        peer_from({"host": "192.0.2.9", "from": ["9" * 100_000]}, "CT9")
    assert len(caught.value.reason) < 400


def test_an_entry_that_is_too_long_is_refused() -> None:
    sees = [{"institution": ["x" * 250 for _ in range(64)]} for _ in range(3)]
    with pytest.raises(ConfigError, match=str(LONGEST_ENTRY)):
        peer_from({"host": "192.0.2.9", "sees": sees}, "CT9")
    assert peer_from({"host": "192.0.2.9", "sees": sees[:1]}, "CT9").sees is not None


def test_a_title_of_the_path_need_not_be_said_again() -> None:
    assert peer_from({"host": "192.0.2.9"}, "CT9").ae_title == "CT9"


def test_a_peer_is_read_back_as_it_was_written() -> None:
    peer = peer_from({**CT9, "from": ["192.0.2.0/28"], "sees": [{"modality": ["CT"]}], "worklist_hides": ["READY"]})
    assert peer_in(text_of(peer)) == peer
    assert fields_of(peer)["from"] == ["192.0.2.0/28"]


def test_equal_peers_have_equal_texts_whatever_the_order_of_their_permissions() -> None:
    first, other = peer_from(CT9), peer_from({**CT9, "may": ["echo", "store"]})
    assert text_of(first) == text_of(other)
    assert fields_of(first)["may"] == ["echo", "store"]


def test_what_has_its_default_is_left_out() -> None:
    assert fields_of(peer_from({"ae_title": "CT9", "host": "192.0.2.9", "may": ["echo"], "tls": False})) == {
        "ae_title": "CT9",
        "host": "192.0.2.9",
    }


@pytest.mark.parametrize("text", ["", "{", "[]", '{"ae_title": "CT9"}', '{"ae_title": "CT9", "from_2031": true}'])
def test_an_entry_of_a_newer_release_is_no_peer_here(text: str) -> None:
    assert peer_in(text) is None


def test_a_change_is_said_field_by_field() -> None:
    before = text_of(peer_from(CT9))
    after = text_of(peer_from({**CT9, "may": [permission.value for permission in (Permission.STORE,)], "port": 105}))
    assert changed_fields(before, after) == {"port": [104, 105], "may": [["echo", "store"], ["store"]]}
    assert changed_fields("", before)["ae_title"] == [None, "CT9"]
    assert changed_fields(before, "")["host"] == ["192.0.2.9", None]
    assert changed_fields(before, "nonsense") == changed_fields(before, "")
