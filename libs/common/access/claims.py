"""The claims of a token with a valid signature become an identity (RFC 7519 4.1, RFC 9068 2.2). Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gantry.common.access.health_records import record_url
from gantry.common.access.identity import Facts, Identity, Means
from gantry.common.access.verbs import CallerRole
from gantry.common.errors import TokenRefused

_LONGEST_NAME = 64
_MOST_FACTS = 64
_LONGEST_FACT = 256


@dataclass(frozen=True, slots=True)
class ClaimNames:
    """The names of claims. A name with dots is a path (`realm_access.roles`), unless a claim has this name; "" means
    none. `patient_issuer` is the issuer of all Patient IDs of the claim."""

    name: str = "preferred_username"
    roles: str = "roles"
    referrer: str = ""
    referrer_id: str = ""
    patient: str = ""
    patient_issuer: str = ""
    institution: str = ""
    department: str = ""


@dataclass(frozen=True, slots=True)
class IssuerRules:
    """The requirements for tokens of an issuer. `name` is our name for it; `roles` maps its roles to ours; `leeway` is
    in seconds."""

    name: str
    url: str
    audiences: frozenset[str]
    scopes: frozenset[str] = frozenset()
    leeway: float = 30.0
    claims: ClaimNames = ClaimNames()
    roles: Mapping[str, CallerRole] = field(default_factory=dict)
    fhir_url: str = ""
    """The URL of the health record whose id is in the patient claim; "" if the claim holds Patient IDs."""


def claims_of(claims: Mapping[str, Any], rules: IssuerRules, now: float) -> Mapping[str, Any]:
    """The claims, if they are for us and for now. `now` is in seconds since the epoch. Raises `TokenRefused`."""
    if claims.get("iss") != rules.url:
        raise TokenRefused("issuer", "it is from another issuer")
    # RFC 7519 4.1.3: one name, or several.
    audience = claims.get("aud")
    if not rules.audiences & set(_texts(audience)):
        raise TokenRefused("audience", "it is for another audience")
    if now >= _moment(claims, "exp", needed=True) + rules.leeway:
        raise TokenRefused("expired", "it has expired")
    if now < _moment(claims, "nbf", needed=False) - rules.leeway:
        raise TokenRefused("early", "it is not valid yet")
    if not rules.scopes <= _scopes(claims):
        raise TokenRefused("scope", "it lacks a scope")
    return claims


def identity_of(claims: Mapping[str, Any], rules: IssuerRules) -> Identity:
    """The identity in the claims. Raises `TokenRefused` if there is none."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject or len(subject) > 256 or not subject.isprintable():
        raise TokenRefused("subject", "it names nobody")
    names = rules.claims
    called = next(iter(_texts(_at(claims, names.name))), "")
    if not called or len(called) > _LONGEST_NAME or not called.isprintable():
        called = subject[:_LONGEST_NAME]
    roles = frozenset(role for word in _words(_at(claims, names.roles)) if (role := rules.roles.get(word)) is not None)
    patients = _facts(claims, names.patient)
    facts = Facts(
        _facts(claims, names.referrer),
        _facts(claims, names.referrer_id),
        () if rules.fhir_url else tuple((patient, names.patient_issuer) for patient in patients),
        _facts(claims, names.institution),
        _facts(claims, names.department),
        record_url(rules.fhir_url, patients[0]) if rules.fhir_url and len(patients) == 1 else "",
    )
    return Identity(subject, f"{rules.name}:{called}", Means.ISSUER, roles, facts, rules.name)


def _moment(claims: Mapping[str, Any], name: str, *, needed: bool) -> float:
    """A NumericDate (RFC 7519 2)."""
    value = claims.get(name)
    if value is None and not needed:
        return -math.inf
    # In Python a boolean is a number, and its JSON parser accepts infinities.
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1 << 53:
        raise TokenRefused("malformed", f"its {name} is not a time")
    return float(value)


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    """RFC 8693 4.2: `scope`, words separated by spaces; some issuers write a list, or call it `scp`."""
    return frozenset(_words(claims.get("scope"))) | frozenset(_words(claims.get("scp")))


def _at(claims: Mapping[str, Any], path: str) -> Any:
    """The claim of a name, or at a path of names."""
    if not path or path in claims:
        return claims.get(path) if path else None
    value: Any = claims
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _texts(value: Any) -> Sequence[str]:
    values = value if isinstance(value, list) else [value]
    return [value for value in values if isinstance(value, str)]


def _words(value: Any) -> Sequence[str]:
    return value.split() if isinstance(value, str) else _texts(value)


def _facts(claims: Mapping[str, Any], path: str) -> tuple[str, ...]:
    """The texts of a claim that may be values of attributes, each once."""
    texts = [text.strip() for text in _texts(_at(claims, path))[:_MOST_FACTS]]
    return tuple(dict.fromkeys(t for t in texts if t and len(t) <= _LONGEST_FACT and t.isprintable()))
