"""What a user may do on an association, in the words of the AE policy, if his peer may it too. Pure."""

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
"""What a role needs for a permission of its peer's; C-ECHO needs nothing."""
_FOR_RESTRICTED = frozenset((Permission.ECHO, Permission.FIND, Permission.RETRIEVE))
"""As over HTTP: who sees some studies brings no others, and what is not of studies is not for him."""
_FOR_ORDINARY = _FOR_RESTRICTED | {Permission.STORE, Permission.COMMIT, Permission.MPPS, Permission.WORKLIST}
"""Of who sees all but what is confidential. A rejection note says of any instance whether it is there."""


def permissions_of(user: AdmittedUser) -> frozenset[Permission]:
    """What the user may, whatever his peer may."""
    held = frozenset(p for p in Permission if p not in _VERBS or _VERBS[p] in user.verbs)
    if user.sight.whole:
        return held
    return held & (_FOR_ORDINARY if user.sight.all_ordinary else _FOR_RESTRICTED)


def may_move(user: AdmittedUser) -> bool:
    """Whether the user may have objects sent to C-MOVE destinations, and not only to himself by C-GET."""
    return Verb.SEND in user.verbs
