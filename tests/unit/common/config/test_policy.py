"""The AE policy: who is admitted, where C-MOVE goes, edits and reloads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gantry.common.config.peers_file import add_peer, remove_peer
from gantry.common.config.policy import (
    ALL,
    Admitted,
    Destination,
    KnownPeer,
    Permission,
    Policy,
    Rejection,
    WorklistView,
    read_policy,
)
from gantry.common.config.reload import PolicyFile
from gantry.common.errors import ConfigError

TEXT = """\
# who calls us
peers:
  # the CT in room 1
  - ae_title: CT1
    host: 10.1.2.3
    port: 104
    from: [10.9.0.0/16, "2001:db8::/32"]
    may: [store, commit, echo]
  - ae_title: WORKSTATION   # reads only
    host: pacs.example.org
    port: 11113
    from: [10.2.0.7]
    may: [find, retrieve]
    move_destination: true
    tls: true
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "peers.yaml"
    file.write_text(TEXT)
    return file


@pytest.fixture
def policy(file: Path) -> Policy:
    return read_policy(file, "GANTRY")


@pytest.mark.parametrize("address", ["10.1.2.3", "10.9.255.1", "::ffff:10.1.2.3", "2001:db8::1"])
def test_known_peer_is_admitted_from_its_addresses(policy: Policy, address: str) -> None:
    may = frozenset({Permission.STORE, Permission.COMMIT, Permission.ECHO})
    assert policy.admit("CT1", "GANTRY", address) == Admitted("CT1", may, 50)
    assert policy.admit(" CT1 ", "GANTRY  ", address) == Admitted("CT1", may, 50)


@pytest.mark.parametrize(
    ("calling", "called", "address", "numbers"),
    [
        ("CT1", "OTHER", "10.1.2.3", (1, 1, 7)),
        ("CT2", "GANTRY", "10.1.2.3", (1, 1, 3)),
        ("ct1", "GANTRY", "10.1.2.3", (1, 1, 3)),
        ("CT1", "GANTRY", "10.1.2.4", (1, 1, 3)),
        ("CT1", "GANTRY", "127.0.0.1", (1, 1, 3)),
        ("CT1", "GANTRY", "", (1, 1, 3)),
        ("", "GANTRY", "10.1.2.3", (1, 1, 3)),
        ("WORKSTATION", "GANTRY", "10.2.0.7", (1, 1, 1)),
    ],
)
def test_everybody_else_is_rejected(
    policy: Policy, calling: str, called: str, address: str, numbers: tuple[int, int, int]
) -> None:
    answer = policy.admit(calling, called, address)
    assert isinstance(answer, Rejection)
    assert (answer.result, answer.source, answer.reason) == numbers


def test_peer_with_tls_is_admitted_over_tls_alone(policy: Policy) -> None:
    assert isinstance(policy.admit("WORKSTATION", "GANTRY", "10.2.0.7", tls=True), Admitted)


@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        ("ct2.hospital", ""),
        ("ct1.hospital", ""),
        ("", "no verified certificate"),
        ("CT1.hospital", "the certificate of CT1.hospital"),
        ("ct3.hospital", "the certificate of ct3.hospital"),
    ],
)
def test_peer_with_a_certificate_of_its_own_is_admitted_with_that_alone(
    tmp_path: Path, certificate: str, words: str
) -> None:
    file = tmp_path / "peers.yaml"
    file.write_text("peers:\n- {ae_title: CT1, host: 10.1.2.3, tls: true, certificate: [ct1.hospital, ct2.hospital]}\n")
    answer = read_policy(file, "GANTRY").admit("CT1", "GANTRY", "10.1.2.3", True, certificate)
    if not words:
        assert isinstance(answer, Admitted)
        return
    assert isinstance(answer, Rejection)
    assert (answer.result, answer.source, answer.reason) == (1, 1, 3)
    assert answer.words.endswith(words)


def test_a_certificate_without_tls_is_a_mistake(tmp_path: Path) -> None:
    file = tmp_path / "peers.yaml"
    file.write_text("peers:\n- {ae_title: CT1, host: 10.1.2.3, certificate: [ct1.hospital]}\n")
    with pytest.raises(ConfigError, match="needs `tls: true`"):
        read_policy(file, "GANTRY")


def test_without_a_file_nobody_is_known() -> None:
    assert isinstance(read_policy(None, "GANTRY").admit("CT1", "GANTRY", "127.0.0.1"), Rejection)


def test_lab_admits_strangers_from_this_machine_only(file: Path) -> None:
    lab = read_policy(file, "GANTRY", lab=True)
    for address in ("127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"):
        answer = lab.admit("ANYBODY", "GANTRY", address)
        assert isinstance(answer, Admitted)
        assert answer.may == ALL
    assert isinstance(lab.admit("ANYBODY", "GANTRY", "10.0.0.1"), Rejection)
    assert isinstance(lab.admit("CT1", "GANTRY", "127.0.0.1"), Rejection)  # known, so its entry holds


def test_move_goes_to_destinations_only(policy: Policy) -> None:
    assert policy.destination("WORKSTATION") == Destination("WORKSTATION", "pacs.example.org", 11113, True)
    assert policy.destination("CT1") is None
    assert policy.destination("NOBODY") is None
    assert policy.contact("CT1") == Destination("CT1", "10.1.2.3", 104, False)


@pytest.mark.parametrize(
    ("entry", "line", "reason"),
    [
        ("  - ae_title: X\n    host: 1.2.3.4\n    may: [steal]\n", 4, "peers.0.may.0: Input should be 'store'"),
        ("  - ae_title: X\n    host: 1.2.3.4\n    prot: 1\n", 4, "peers.0.prot: unknown key"),
        ("  - ae_title: X\n    host: name\n", 2, "`host` is a name, so `from` must list"),
        ("  - ae_title: X\n    may: [echo]\n", 2, "`host` or `from` is needed"),
        ("  - ae_title: X\n    from: [10.0.0.0/99]\n", 3, "is not an address or a CIDR range"),
        ("  - ae_title: X\n    host: 1.2.3.4\n    move_destination: true\n", 2, "needs `host` and `port`"),
        ("  - ae_title: X\n    from: [::/0]\n  - ae_title: X\n    from: [::/0]\n", 4, "AE title X is already in use"),
        ("  - ae_title: THIS_IS_TOO_LONG_FOR_IT\n    from: [::/0]\n", 2, "not an AE title"),
        ("  ct1: {}\n", 1, "a list is expected"),
    ],
)
def test_error_in_a_policy_names_line_and_reason(tmp_path: Path, entry: str, line: int, reason: str) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("peers:\n" + entry)
    with pytest.raises(ConfigError) as error:
        read_policy(file, "GANTRY")
    assert reason in str(error.value)
    assert error.value.line == line


def test_edit_keeps_comments_and_order(file: Path) -> None:
    add_peer(file, {"ae_title": "MR1", "host": "10.1.2.9", "port": 104, "may": ["store"]})
    assert list(read_policy(file, "GANTRY").peers) == ["CT1", "WORKSTATION", "MR1"]
    text = file.read_text()
    assert text.startswith(TEXT.rstrip("\n"))
    remove_peer(file, "CT1")
    assert list(read_policy(file, "GANTRY").peers) == ["WORKSTATION", "MR1"]
    assert "# who calls us" in file.read_text()
    assert "# reads only" in file.read_text()
    assert os.listdir(file.parent) == [file.name]


def test_edit_makes_a_file_and_leaves_other_sections_alone(tmp_path: Path) -> None:
    add_peer(tmp_path / "new.yaml", {"ae_title": "A", "from": ["10.0.0.0/8"]})
    assert list(read_policy(tmp_path / "new.yaml", "GANTRY").peers) == ["A"]
    shared = tmp_path / "gantry.yaml"
    shared.write_text("dimse:\n  port: 104  # the old port\n")
    add_peer(shared, {"ae_title": "A", "from": ["10.0.0.0/8"]})
    assert shared.read_text().startswith("dimse:\n  port: 104  # the old port\n")


def test_edit_that_would_not_read_is_refused_and_changes_nothing(file: Path) -> None:
    for entry in ({"ae_title": "CT1", "from": ["::/0"]}, {"ae_title": "NEW"}, {"ae_title": "N", "from": ["x"]}):
        with pytest.raises(ConfigError):
            add_peer(file, entry)
    with pytest.raises(ConfigError):
        remove_peer(file, "NOBODY")
    assert file.read_text() == TEXT


def test_start_with_a_bad_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        PolicyFile(tmp_path / "missing.yaml", "GANTRY")


def test_a_worklist_hides_what_is_begun_or_over_unless_the_policy_says_otherwise(tmp_path: Path) -> None:
    file = tmp_path / "peers.yaml"
    file.write_text(
        "peers:\n"
        "  - {ae_title: CT1, host: 192.0.2.1}\n"
        "  - {ae_title: BOARD, host: 192.0.2.2, worklist_hides: [CANCELLED], worklist_own: true}\n"
    )
    policy = read_policy(file, "GANTRY")
    usual = frozenset({"STARTED", "DEPARTED", "COMPLETED", "DISCONTINUED", "CANCELLED"})
    for title in ("CT1", "STRANGER"):
        assert policy.worklist_view(title) == WorklistView(usual, own=False)
    assert policy.worklist_view("BOARD ") == WorklistView(frozenset({"CANCELLED"}), own=True)


def test_a_peer_has_a_view_of_what_is_rejected_where_the_policy_says_so(tmp_path: Path) -> None:
    file = tmp_path / "peers.yaml"
    file.write_text("peers:\n  - {ae_title: QA, host: 192.0.2.7, view: qa}\n  - {ae_title: CT1, host: 192.0.2.3}\n")
    policy = read_policy(file, "GANTRY")
    assert [policy.view_of(title) for title in ("QA ", "CT1", "STRANGER")] == ["qa", "", ""]


SEES = "peers: [{{ae_title: WARD, host: 10.1.2.3, may: [{may}], sees: {sees}}}]"


def test_peer_sees_what_its_entries_say_and_one_without_all(file: Path) -> None:
    assert read_policy(file, "GANTRY").studies_seen_by("CT1") is None
    file.write_text(SEES.format(may="find", sees="[{institution: [North], modality: [CT]}, {patient: [P1]}]"))
    entries = read_policy(file, "GANTRY").studies_seen_by("WARD ")
    assert entries is not None
    assert [(entry.institution, entry.modality, entry.patient) for entry in entries] == [
        (("North",), ("CT",), ()),
        ((), (), ("P1",)),
    ]
    file.write_text(SEES.format(may="find", sees="[]"))
    assert read_policy(file, "GANTRY").studies_seen_by("WARD") == ()


def test_peer_may_be_kept_from_confidential_studies(file: Path) -> None:
    line = "{ae_title: HALLWAY, host: 10.1.2.3, confidential: false%s}"
    file.write_text("peers: [" + line % "" + ", {ae_title: CT1, host: 10.1.2.4}]")
    policy = read_policy(file, "GANTRY")
    assert [policy.sees_confidential(title) for title in ("HALLWAY ", "CT1", "STRANGER")] == [False, True, True]
    file.write_text("peers: [" + line % ", may: [store, reject]" + "]")
    with pytest.raises(ConfigError, match="cannot `reject`"):
        read_policy(file, "GANTRY")


def test_peer_that_the_policy_does_not_name_sees_nothing_but_in_the_lab(file: Path) -> None:
    assert read_policy(file, "GANTRY").studies_seen_by("STRANGER") == ()
    assert read_policy(file, "GANTRY", lab=True).studies_seen_by("STRANGER") is None


@pytest.mark.parametrize(
    ("may", "sees", "why"),
    [
        ("find", "[{}]", "would show everything"),
        ("find", "[{ward: [W1]}]", "ward"),
        ("store, reject", "[{patient: [P1]}]", "cannot `reject`"),
    ],
)
def test_sight_that_is_not_understood_is_refused(file: Path, may: str, sees: str, why: str) -> None:
    file.write_text(SEES.format(may=may, sees=sees))
    with pytest.raises(ConfigError, match=why):
        read_policy(file, "GANTRY")


def test_queries_of_peers_span_other_archives_where_the_policy_says_so_and_of_no_stranger(file: Path) -> None:
    file.write_text(
        "peers:\n"
        "  - {ae_title: READING, host: 192.0.2.1, may: [find], federated: true}\n"
        "  - {ae_title: CT1, host: 192.0.2.2, may: [find]}\n"
    )
    policy = read_policy(file, "GANTRY", lab=True)
    assert policy.is_federated("READING ")
    assert not policy.is_federated("CT1")
    assert not policy.is_federated("STRANGER")


def test_peers_of_the_api_stand_beside_those_of_the_file_which_prevails(file: Path) -> None:
    policy = PolicyFile(file, "GANTRY")
    added = {title: KnownPeer(ae_title=title, host="192.0.2.9", may=frozenset(ALL)) for title in ("CT9", "CT1")}
    policy.stand_beside(added, True)
    assert list(policy.current.peers) == ["CT1", "WORKSTATION", "CT9"]
    assert policy.current.peers["CT1"].host == "10.1.2.3"
    assert isinstance(policy.current.admit("CT9", "GANTRY", "192.0.2.9"), Admitted)
    assert list(policy.in_file) == ["CT1", "WORKSTATION"]
    remove_peer(file, "CT1")
    policy.look()
    assert policy.current.peers["CT1"].host == "192.0.2.9"
    policy.stand_beside({}, True)
    assert list(policy.current.peers) == ["WORKSTATION"]


def test_nobody_is_refused_for_good_until_the_peers_of_the_api_are_read(file: Path) -> None:
    policy = PolicyFile(file, "GANTRY", whole=False)
    unread = policy.current.admit("CT9", "GANTRY", "192.0.2.9")
    assert isinstance(unread, Rejection)
    assert (unread.result, unread.source, unread.reason) == (2, 3, 1)
    assert isinstance(policy.current.admit("CT1", "GANTRY", "10.1.2.3"), Admitted)
    elsewhere = policy.current.admit("CT1", "GANTRY", "192.0.2.9")
    assert isinstance(elsewhere, Rejection)
    assert (elsewhere.result, elsewhere.source, elsewhere.reason) == (1, 1, 3)
    policy.stand_beside({}, True)
    unknown = policy.current.admit("CT9", "GANTRY", "192.0.2.9")
    assert isinstance(unknown, Rejection)
    assert (unknown.result, unknown.source, unknown.reason) == (1, 1, 3)
