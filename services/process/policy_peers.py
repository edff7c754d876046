"""The roles' view of the policy (`gantry.services.context.Peers`): who may store, where objects may be sent, who sees
what. Each answer comes from the policy in force at that moment."""

from __future__ import annotations

from collections.abc import Mapping
from weakref import WeakKeyDictionary

from gantry.common.access import EVERYTHING, Sight, intersection, sight_of_peer, without_confidential
from gantry.common.config.policy import Destination, KnownPeer, Permission, WorklistView
from gantry.common.config.reload import PolicyFile
from gantry.common.config.role_sections import Retrieve
from gantry.common.config.tls import Certificates
from gantry.common.net import Association, Peer
from gantry.services.process.admission import PolicyAdmission
from gantry.services.process.user_permissions import permissions_of


class PolicyPeers:
    """The peers of one process."""

    def __init__(self, policy: PolicyFile, certificates: Certificates, retrieve: Retrieve) -> None:
        self._policy = policy
        self._certificates = certificates
        self._retrieve = retrieve
        self._allowed: WeakKeyDictionary[Association, bool] = WeakKeyDictionary()
        self.admission: PolicyAdmission | None = None
        """Set before the first association."""

    def may_store(self, association: Association) -> bool:
        """Whether an association may store. Decided once per association: a changed policy applies to the next one."""
        allowed = self._allowed.get(association)
        if allowed is None:
            allowed = self._allowed[association] = self._user_may(
                association, Permission.STORE
            ) and self._admitting().may_store(
                association.calling_ae_title,
                association.called_ae_title,
                association.peer_address,
                association.peer_speaks_tls,
                association.peer_certificate,
            )
        return allowed

    def _user_may(self, association: Association, permission: Permission) -> bool:
        return association.user is None or permission in permissions_of(association.user)

    def rejects(self, association: Association) -> frozenset[str]:
        if not self._user_may(association, Permission.REJECT):
            return frozenset()
        return self._admitting().rejects(
            association.calling_ae_title,
            association.called_ae_title,
            association.peer_address,
            association.peer_speaks_tls,
            association.peer_certificate,
        )

    def destinations(self) -> list[str]:
        """The AE titles to which objects may be sent."""
        return [title for title, peer in self._policy.current.peers.items() if peer.move_destination]

    def destination(self, ae_title: str, ours: str) -> Peer | None:
        return self._peer(self._policy.current.destination(ae_title), ours)

    def gets_originals(self, ae_title: str) -> bool:
        return self._policy.current.gets_originals(ae_title)

    def is_federated(self, ae_title: str) -> bool:
        return self._policy.current.is_federated(ae_title)

    def contact(self, ae_title: str, ours: str) -> Peer | None:
        return self._peer(self._policy.current.contact(ae_title), ours)

    def view_of(self, ae_title: str) -> str:
        return self._policy.current.view_of(ae_title)

    def sight_of(self, ae_title: str) -> Sight:
        policy = self._policy.current
        sight = sight_of_peer(policy.studies_seen_by(ae_title))
        return sight if policy.sees_confidential(ae_title) else without_confidential(sight)

    def sight(self, association: Association) -> Sight:
        """What is visible on an association: what its peer and its user may see now."""
        user = association.user
        return intersection(self.sight_of(association.calling_ae_title), EVERYTHING if user is None else user.sight)

    def worklist_view(self, ae_title: str) -> WorklistView:
        return self._policy.current.worklist_view(ae_title)

    def known(self) -> list[KnownPeer]:
        return list(self._policy.current.peers.values())

    def in_file(self) -> Mapping[str, KnownPeer]:
        return self._policy.in_file

    def are_whole(self) -> bool:
        return self._policy.current.whole

    def _peer(self, known: Destination | None, ours: str) -> Peer | None:
        if known is None:
            return None
        tls = self._certificates.client() if known.tls else None
        return Peer(
            known.host,
            known.port,
            known.ae_title,
            ours,
            tls=tls,
            connect_timeout=self._retrieve.connect_timeout,
            associate_timeout=self._retrieve.associate_timeout,
        )

    def _admitting(self) -> PolicyAdmission:
        assert self.admission is not None
        return self.admission
