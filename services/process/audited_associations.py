"""Audit records of associations: logins, refused associations, and requests refused as not authorised."""

from __future__ import annotations

from gantry.common.audit import FAILURE, SERIOUS_FAILURE, AuditEntry, AuditKind
from gantry.common.net import Association
from gantry.common.runtime.auditing.trail import AuditTrail, PeerOf
from gantry.common.statuses import NOT_AUTHORISED


class AssociationAudit:
    """Called by the network observer."""

    def __init__(self, trail: AuditTrail) -> None:
        self._trail = trail

    def opened(self, association: Association) -> None:
        """An association began: its requests are audited with its trace and its user. A user's association is a login
        (PS3.15 A.5.3.13)."""
        title, address, called = association.calling_ae_title, association.peer_address, association.called_ae_title
        user, trace = "" if association.user is None else association.user.identity.name, association.trace
        self._trail.opened(trace, PeerOf(title, address, called, user))
        if user:
            self._trail.add(
                AuditEntry(AuditKind.LOGIN, "A-ASSOCIATE", title, "ae", address, called, trace=trace, session=trace)
            )

    def closed(self, association: Association) -> None:
        """An association ended: its records are complete."""
        self._trail.ended(association.trace)

    def refused(self, titles: tuple[str, str], address: str, why: str) -> None:
        """An association was refused: PS3.15 A.5.3.11, Node Authentication."""
        calling, called = titles
        entry = AuditEntry(
            AuditKind.NODE_REFUSED, "A-ASSOCIATE", calling, "ae", address, called, outcome=SERIOUS_FAILURE, why=why
        )
        self._trail.add(entry)

    def request_refused(self, association: Association, command: str, status: int, comment: str) -> None:
        """A request was answered with a failure."""
        if status != NOT_AUTHORISED:
            return
        self._trail.add(
            AuditEntry(
                AuditKind.REFUSED,
                command,
                association.calling_ae_title,
                "ae",
                association.peer_address,
                association.called_ae_title,
                outcome=FAILURE,
                why=comment,
                trace=association.trace,
                session=association.trace,
            )
        )
