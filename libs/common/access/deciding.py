"""Permissions. Pure: one table of roles and verbs, and one decision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gantry.common.access.identity import Identity, Means
from gantry.common.access.verbs import DEFAULT_VERBS, FORMER_VERBS, CallerRole, Verb
from gantry.common.errors import NotUnderstood

_OF_OURS = frozenset((Means.MACHINE, Means.TOKEN, Means.USER))


@dataclass(frozen=True, slots=True)
class RoleTable:
    """The verbs of each role."""

    verbs: Mapping[CallerRole, frozenset[Verb]] = field(default_factory=lambda: DEFAULT_VERBS)

    def verbs_of(self, identity: Identity) -> frozenset[Verb]:
        """All verbs of an identity: those of any of its roles. Without a role, callers known to us have the verbs of
        earlier releases, and an issuer's identity has none."""
        if identity.roles:
            return frozenset().union(*(self.verbs.get(role, frozenset()) for role in identity.roles))
        return FORMER_VERBS if identity.means in _OF_OURS else frozenset()


def decide(table: RoleTable, identity: Identity, verb: Verb) -> bool:
    """Whether an identity may do something at all; `sight_of` decides to which studies."""
    return verb in table.verbs_of(identity)


def role_table(overrides: Iterable[str]) -> RoleTable:
    """The default table with some rows replaced by `ROLE=VERB,VERB`; `ROLE=` has no verbs. Raises `NotUnderstood`."""
    verbs = dict(DEFAULT_VERBS)
    for line in overrides:
        name, equals, words = line.partition("=")
        names = [word.strip() for word in words.split(",") if word.strip()]
        try:
            role, row = CallerRole(name.strip()), frozenset(Verb(word) for word in names)
        except ValueError as error:
            raise NotUnderstood(f"{line!r}: {error}") from None
        if not equals:
            raise NotUnderstood(f"{line!r}: not ROLE=VERB,VERB")
        verbs[role] = row
    return RoleTable(verbs)
