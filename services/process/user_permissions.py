"""The permissions of a user on an association, as those of the AE policy; the peer must have them, too. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from gantry.common.access import AdmittedUser, Verb
from gantry.common.config.policy import Permission

_VERBS: Mapping[Permission, Verb] = {
    Permission.STORE: Verb.STORE,
    Permission.COMMIT: Verb.STORE,
    Permission.MPPS: Verb.STORE,
    Permission.FIND: Verb.READ,
    Permission.RETRIEVE: Verb.READ,
    Permission.WORKLIST: Verb.WORKLIST,
    Permission.UPS: Verb.ORDER,
    Permission.REJECT: Verb.REJECT,
}
"""The verbs that a role needs for each permission of the peer; C-ECHO needs none."""
_FOR_RESTRICTED = frozenset((Permission.ECHO, Permission.FIND, Permission.RETRIEVE))
"""For users who see only some studies, as over HTTP: they may not store, or use what does not belong to studies."""
_FOR_ORDINARY = _FOR_RESTRICTED | {Permission.STORE, Permission.COMMIT, Permission.MPPS, Permission.WORKLIST}
"""For users who see all but confidential studies; no rejection notes, which would reveal which instances exist."""


def permissions_of(user: AdmittedUser) -> frozenset[Permission]:
    """The permissions of the user, regardless of the peer."""
    held = frozenset(p for p in Permission if p not in _VERBS or _VERBS[p] in user.verbs)
    if user.sight.whole:
        return held
    return held & (_FOR_ORDINARY if user.sight.all_ordinary else _FOR_RESTRICTED)


def may_move(user: AdmittedUser) -> bool:
    """Whether the user may use C-MOVE to other destinations, not only C-GET."""
    return Verb.SEND in user.verbs
