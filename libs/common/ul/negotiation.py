"""Presentation context negotiation (PS3.8 7.1.1.13, PS3.7 D.3.3.4) as a function of the proposal and our abilities.

Abilities are created once per process and shared by every association.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gantry.common.ul.pdu import AcceptedContext, AssociateRequest, ContextResult, RoleSelection


@dataclass(frozen=True, slots=True)
class Ability:
    """What we can do with an abstract syntax.

    `transfer_syntaxes` None accepts any, and takes the first proposed. With `preferred`, the first of ours that is
    proposed is chosen; otherwise the requestor's order decides, so that compressed objects arrive as the sender holds
    them. `scp` and `scu` are our own roles. `extended` has a byte of 1 for each part of the service class application
    information (PS3.7 D.3.3.5) that we support; empty: we do not answer it. `notified`: as SCU we take what the peer
    reports (N-EVENT-REPORT).
    """

    transfer_syntaxes: frozenset[str] | None = None
    preferred: tuple[str, ...] = ()
    scp: bool = True
    scu: bool = False
    extended: bytes = b""
    notified: bool = False

    def choose(self, proposed: tuple[str, ...]) -> str | None:
        """The transfer syntax to use, or None."""
        for ours in self.preferred:
            if ours in proposed:
                return ours
        allowed = self.transfer_syntaxes
        return next((ts for ts in proposed if allowed is None or ts in allowed), None)

    def join(self, other: Ability) -> Ability:
        """Both together: two services may use one abstract syntax in different roles."""
        return Ability(
            None
            if self.transfer_syntaxes is None or other.transfer_syntaxes is None
            else self.transfer_syntaxes | other.transfer_syntaxes,
            self.preferred or other.preferred,
            self.scp or other.scp,
            self.scu or other.scu,
            self.extended or other.extended,
            self.notified or other.notified,
        )

    def agree(self, offered: bytes) -> bytes:
        """Our answer to this application information: 1 for each part that was offered and that we support, else 0; no
        longer than the offer (PS3.4 C.5.1.1.2)."""
        return bytes([theirs == 1 == ours for theirs, ours in zip(offered, self.extended, strict=False)])


Abilities = Mapping[str, Ability]


def negotiate(
    request: AssociateRequest, abilities: Abilities
) -> tuple[tuple[ContextResult, ...], tuple[RoleSelection, ...], dict[int, AcceptedContext]]:
    """Results for every proposed context, the roles to answer with, and the accepted contexts by id, with the agreed
    application information of their abstract syntax.

    PS3.7 D.3.3.4.2: roles are answered only if they were proposed, and never widened. Without role selection the
    requestor is SCU. A context in which neither side has a role is refused as "abstract syntax not supported".
    """
    proposed_roles = {role.sop_class_uid: role for role in request.roles}
    offered = dict(request.extended)
    answered: dict[str, RoleSelection] = {}
    results: list[ContextResult] = []
    accepted: dict[int, AcceptedContext] = {}
    for cx in request.contexts:
        ability = abilities.get(cx.abstract_syntax)
        if ability is None:
            results.append(ContextResult(cx.id, 3, cx.transfer_syntaxes[0]))
            continue
        role = proposed_roles.get(cx.abstract_syntax)
        as_scu = ability.scp and (role is None or role.scu)
        as_scp = ability.scu and role is not None and role.scp
        syntax = ability.choose(cx.transfer_syntaxes)
        if not (as_scu or as_scp) or syntax is None:
            result = 4 if as_scu or as_scp else 3
            results.append(ContextResult(cx.id, result, cx.transfer_syntaxes[0]))
            continue
        if role is not None:
            answered[cx.abstract_syntax] = RoleSelection(cx.abstract_syntax, as_scu, as_scp)
        results.append(ContextResult(cx.id, 0, syntax))
        extended = ability.agree(offered.get(cx.abstract_syntax, b""))
        accepted[cx.id] = AcceptedContext(cx.id, cx.abstract_syntax, syntax, as_scu, as_scp, extended)
    return tuple(results), tuple(answered.values()), accepted


def accepted_by_peer(
    request: AssociateRequest,
    results: tuple[ContextResult, ...],
    roles: tuple[RoleSelection, ...],
    extended: tuple[tuple[str, bytes], ...] = (),
) -> dict[int, AcceptedContext]:
    """The contexts in use from the requestor's side; results for contexts that were not proposed are ignored."""
    agreed = dict(extended)
    by_id = {cx.id: cx for cx in request.contexts}
    proposed = {role.sop_class_uid: role for role in request.roles}
    answered = {role.sop_class_uid: role for role in roles}
    accepted = {}
    for result in results:
        cx = by_id.get(result.id)
        if cx is None or result.result != 0 or result.transfer_syntax not in cx.transfer_syntaxes:
            continue
        proposal, role = proposed.get(cx.abstract_syntax), answered.get(cx.abstract_syntax)
        scu, scp = True, False
        if proposal is not None and role is not None:
            scu, scp = proposal.scu and role.scu, proposal.scp and role.scp
        beside = agreed.get(cx.abstract_syntax, b"")
        accepted[cx.id] = AcceptedContext(cx.id, cx.abstract_syntax, result.transfer_syntax, scu, scp, beside)
    return accepted
