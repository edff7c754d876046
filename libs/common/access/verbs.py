"""What can be done over HTTP, in one word each, and the roles that may: one table. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum


class Verb(Enum):
    """What a caller does. The values are the words of settings, documents and answers."""

    READ = "read"
    """Search and retrieve: QIDO-RS, WADO-RS, WADO-URI, thumbnails."""
    STORE = "store"
    """STOW-RS, and storage commitment of what was stored."""
    SEND = "send"
    """Have studies sent to C-MOVE destinations."""
    HISTORY = "history"
    """See the history of a study, and the holds on it."""
    CHANGES = "changes"
    """Listen to the changes of all studies, and read the change feed."""
    WORKLIST = "worklist"
    """See orders and workitems."""
    ORDER = "order"
    """Place, change and cancel orders; create workitems, and perform them."""
    CORRECT = "correct"
    """Correct, move and merge."""
    REJECT = "reject"
    """Store rejection notes of any code (IHE IOCM)."""
    DELETE = "delete"
    """Delete and restore."""
    HOLD = "hold"
    """Place and release holds."""
    OPERATE = "operate"
    """See and use Operations."""
    OVERRIDE = "override"
    """Open a study or patient that is otherwise invisible, if `access.override_key_file` is set."""
    SHARE = "share"
    """Make links for people outside, if `sharing.key_file` is set."""
    SUBSCRIBE = "subscribe"
    """Have an address notified of visible studies, if `subscriptions.endpoints` names it."""


class CallerRole(Enum):
    """The roles that identities have."""

    TECHNOLOGIST = "technologist"
    RADIOLOGIST = "radiologist"
    REFERRER = "referrer"
    PATIENT = "patient"
    ADMINISTRATOR = "administrator"
    SERVICE = "service"


FORMER_VERBS = frozenset((Verb.READ, Verb.STORE, Verb.SEND, Verb.HISTORY, Verb.CHANGES, Verb.WORKLIST))
"""The verbs of callers without roles: this machine, and tokens that name none. The other verbs depend on names in
`http.may_*`."""

_CLINICAL = frozenset((Verb.READ, Verb.STORE, Verb.SEND, Verb.HISTORY, Verb.WORKLIST))

DEFAULT_VERBS: Mapping[CallerRole, frozenset[Verb]] = {
    CallerRole.TECHNOLOGIST: _CLINICAL | {Verb.ORDER, Verb.CORRECT, Verb.REJECT, Verb.OVERRIDE},
    CallerRole.RADIOLOGIST: _CLINICAL | {Verb.CHANGES, Verb.REJECT, Verb.OVERRIDE, Verb.SHARE},
    CallerRole.REFERRER: frozenset((Verb.READ,)),
    CallerRole.PATIENT: frozenset((Verb.READ,)),
    CallerRole.ADMINISTRATOR: frozenset(Verb),
    CallerRole.SERVICE: FORMER_VERBS | {Verb.ORDER, Verb.SUBSCRIBE},
}
"""The verbs of each role, unless the settings say otherwise (docs/access.md)."""
