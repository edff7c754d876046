"""Callers and their permissions: identities, the table of roles and verbs, identities from a token's claims, and which
studies an identity sees.

What belongs here: frozen values and pure decisions. What does not: keys, sockets, clocks, settings; the code that
admits callers (`gantry.common.web`) provides them.
"""

from gantry.common.access.claims import ClaimNames, IssuerRules, claims_of, identity_of
from gantry.common.access.deciding import RoleTable, decide, role_table
from gantry.common.access.identity import NOBODY, Facts, Identity, Means
from gantry.common.access.peer_sight import intersection, sight_of_peer
from gantry.common.access.sight import (
    EVERYTHING,
    NOTHING,
    SIGHT,
    Alternative,
    Rule,
    Sight,
    SightRules,
    restricted,
    rules_of,
    sight_of,
    without_confidential,
)
from gantry.common.access.users import AdmittedUser
from gantry.common.access.verbs import DEFAULT_VERBS, FORMER_VERBS, CallerRole, Verb

__all__ = [
    "DEFAULT_VERBS",
    "EVERYTHING",
    "FORMER_VERBS",
    "NOBODY",
    "NOTHING",
    "SIGHT",
    "AdmittedUser",
    "Alternative",
    "CallerRole",
    "ClaimNames",
    "Facts",
    "Identity",
    "IssuerRules",
    "Means",
    "RoleTable",
    "Rule",
    "Sight",
    "SightRules",
    "Verb",
    "claims_of",
    "decide",
    "identity_of",
    "intersection",
    "restricted",
    "role_table",
    "rules_of",
    "sight_of",
    "sight_of_peer",
    "without_confidential",
]
