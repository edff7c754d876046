"""The roles' view of the policy in force: read each time, except whether an association may store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from gantry.common.access import EVERYTHING, NOTHING, AdmittedUser, CallerRole, Identity, Means, RoleTable
from gantry.common.config.network_sections import Tls
from gantry.common.config.reload import PolicyFile
from gantry.common.config.role_sections import Retrieve
from gantry.common.config.tls import Certificates
from gantry.common.net import Association
from gantry.services.process.admission import PolicyAdmission
from gantry.services.process.policy_peers import PolicyPeers
from tests.support.wire import CT

POLICY = """peers:
  - {ae_title: CT1, host: 192.0.2.1, may: [store, reject]}
  - {ae_title: PACS, host: 192.0.2.2, port: 104, may: [find], move_destination: true}
  - {ae_title: HALL, host: 192.0.2.3, port: 104, may: [find], confidential: false}
"""


@dataclass(eq=False)
class Calling:
    """An association, as far as the policy looks at it."""

    calling_ae_title: str
    peer_address: str
    user: AdmittedUser | None = None
    called_ae_title: str = "GANTRY"
    peer_speaks_tls: bool = False
    peer_certificate: str = ""

    @property
    def association(self) -> Association:
        return cast(Association, self)


class Peers(PolicyPeers):
    """Over a policy file that a test writes."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "peers.yaml"
        self.file.write_text(POLICY)
        self.policy = PolicyFile(self.file, "GANTRY")
        super().__init__(self.policy, Certificates(Tls()), Retrieve(connect_timeout=3.0))
        self.admission = PolicyAdmission(lambda: self.policy.current, [CT])

    def write(self, text: str) -> None:
        self.file.write_text(text)
        assert self.policy.reload()


@pytest.fixture
def peers(tmp_path: Path) -> Peers:
    return Peers(tmp_path)


def user(role: CallerRole, **more: Any) -> AdmittedUser:
    identity = Identity("s", "s", Means.USER, frozenset([role]))
    return AdmittedUser(identity, RoleTable().verbs_of(identity), more.get("sight", EVERYTHING))


def test_association_that_may_store_may_until_its_end_and_the_next_one_by_the_new_policy(peers: Peers) -> None:
    first, other = Calling("CT1", "192.0.2.1"), Calling("CT1", "192.0.2.9")
    assert (peers.may_store(first.association), peers.may_store(other.association)) == (True, False)
    peers.write(POLICY.replace("[store, reject]", "[echo]"))
    assert peers.may_store(first.association)
    assert not peers.may_store(Calling("CT1", "192.0.2.1").association)


@pytest.mark.parametrize(("role", "may"), [(CallerRole.TECHNOLOGIST, True), (CallerRole.REFERRER, False)])
def test_user_may_no_more_than_his_role(peers: Peers, role: CallerRole, may: bool) -> None:
    calling = Calling("CT1", "192.0.2.1", user(role)).association
    assert peers.may_store(calling) is may
    assert bool(peers.rejects(calling)) is may


def test_destinations_are_those_of_the_policy_that_is_in_force(peers: Peers) -> None:
    assert peers.destinations() == ["PACS"]
    peer = peers.destination("PACS", "GANTRY")
    assert peer is not None
    assert (peer.host, peer.port, peer.called_ae_title, peer.calling_ae_title) == (
        "192.0.2.2",
        104,
        "PACS",
        "GANTRY",
    )
    assert (peer.connect_timeout, peer.tls) == (3.0, None)
    assert peers.destination("HALL", "GANTRY") is None
    contact = peers.contact("HALL", "GANTRY")
    assert contact is not None
    assert contact.host == "192.0.2.3"
    assert peers.contact("NOBODY", "GANTRY") is None
    peers.write(POLICY.replace("move_destination: true", "move_destination: false"))
    assert peers.destinations() == []
    assert peers.destination("PACS", "GANTRY") is None


def test_what_is_seen_is_what_both_the_peer_and_its_user_see(peers: Peers) -> None:
    assert peers.sight_of("PACS").whole
    assert peers.sight_of("HALL").all_ordinary
    assert peers.sight(Calling("PACS", "192.0.2.2").association).whole
    nothing = user(CallerRole.RADIOLOGIST, sight=NOTHING)
    assert peers.sight(Calling("PACS", "192.0.2.2", nothing).association) == NOTHING


def test_peers_are_told_with_those_that_were_added_and_whether_these_are_read(tmp_path: Path) -> None:
    peers = Peers(tmp_path)
    assert [peer.ae_title for peer in peers.known()] == ["CT1", "PACS", "HALL"] == list(peers.in_file())
    assert peers.are_whole()
    added = {"CT9": next(iter(peers.known()))}
    peers.policy.stand_beside(added, False)
    assert (len(peers.known()), list(peers.in_file()), peers.are_whole()) == (4, ["CT1", "PACS", "HALL"], False)
