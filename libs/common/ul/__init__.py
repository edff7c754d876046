"""The DICOM upper layer (PS3.8) without I/O: bytes in, indications out, for both roles.

It has the state machine as a table (PS3.8 table 9-10), the PDU codecs (PS3.8 9.3, PS3.7 D.3.3), framing with limits
before allocation, and negotiation as a function. It has no sockets, event loop or clock. No input of a peer makes
`UpperLayer` raise: invalid input becomes an A-ABORT and an `Aborted` indication.
"""

from gantry.common.ul.indications import (
    Aborted,
    Accepted,
    Closed,
    Fragment,
    Indication,
    Rejected,
    Released,
    ReleaseRequested,
    Requested,
)
from gantry.common.ul.negotiation import Abilities, Ability, negotiate
from gantry.common.ul.pdu import (
    AcceptedContext,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    ContextResult,
    PduError,
    ProposedContext,
    RoleSelection,
    UserIdentity,
)
from gantry.common.ul.states import State
from gantry.common.ul.upper_layer import PduLimits, UpperLayer

__all__ = [
    "Abilities",
    "Ability",
    "Aborted",
    "Accepted",
    "AcceptedContext",
    "AssociateAccept",
    "AssociateReject",
    "AssociateRequest",
    "Closed",
    "ContextResult",
    "Fragment",
    "Indication",
    "PduError",
    "PduLimits",
    "ProposedContext",
    "Rejected",
    "ReleaseRequested",
    "Released",
    "Requested",
    "RoleSelection",
    "State",
    "UpperLayer",
    "UserIdentity",
    "negotiate",
]
