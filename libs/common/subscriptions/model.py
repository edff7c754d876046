"""What somebody wants to be told, and who he is; as JSON, since it is sealed on the log. Times are microseconds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from gantry.common.access import CallerRole, Facts, Identity, Means
from gantry.common.errors import NotUnderstood

TOPIC = "SubscriptionTopic/imaging-study"
"""Below the base of FHIR: the one topic that there is. Its canonical URL is where it is here."""
_FACTS = ("referrers", "referrer_ids", "institutions", "departments")


class Content(StrEnum):
    """How much a notification says (backport-payload-content)."""

    EMPTY = "empty"
    ID_ONLY = "id-only"
    FULL = "full-resource"


class Release(StrEnum):
    """The release of FHIR in which a subscription was made, and is told."""

    R4 = "r4"
    R5 = "r5"


class Status(StrEnum):
    """http://hl7.org/fhir/subscription-status of R4."""

    REQUESTED = "requested"
    ACTIVE = "active"
    ERROR = "error"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class SubscriptionRequest:
    """What a subscription says. `heartbeat` and `timeout` are seconds, 0 where it says none; `most` events come in one
    notification. Each of `filters` is `ImagingStudy?…`, and all hold. Its headers may be secrets."""

    endpoint: str
    content: Content
    filters: tuple[str, ...] = ()
    headers: tuple[str, ...] = field(default=(), repr=False)
    heartbeat: int = 0
    timeout: int = 0
    most: int = 1
    reason: str = ""
    release: Release = Release.R4


def sealed_content(wanted: SubscriptionRequest, identity: Identity) -> Mapping[str, Any]:
    """Both as JSON has them."""
    facts = identity.facts
    return {
        "endpoint": wanted.endpoint,
        "content": wanted.content.value,
        "filters": list(wanted.filters),
        "headers": list(wanted.headers),
        "heartbeat": wanted.heartbeat,
        "timeout": wanted.timeout,
        "most": wanted.most,
        "reason": wanted.reason,
        "release": wanted.release.value,
        "subject": identity.subject,
        "name": identity.name,
        "means": identity.means.value,
        "issuer": identity.issuer,
        "roles": sorted(role.value for role in identity.roles),
        "facts": {
            **{name: list(getattr(facts, name)) for name in _FACTS},
            "patients": [list(patient) for patient in facts.patients],
            "record": facts.record,
        },
    }


def opened(content: Mapping[str, Any]) -> tuple[SubscriptionRequest, Identity]:
    """What `sealed_content` wrote. Raises `NotUnderstood` for what another release wrote."""
    try:
        wanted = SubscriptionRequest(
            str(content["endpoint"]),
            Content(content["content"]),
            tuple(map(str, content["filters"])),
            tuple(map(str, content["headers"])),
            int(content["heartbeat"]),
            int(content["timeout"]),
            int(content["most"]),
            str(content["reason"]),
            Release(content.get("release", Release.R4)),
        )
        body = content["facts"]
        patients = tuple((str(patient), str(issuer)) for patient, issuer in body["patients"])
        facts = Facts(
            **{name: tuple(map(str, body[name])) for name in _FACTS}, patients=patients, record=str(body["record"])
        )
        roles = frozenset(map(CallerRole, content["roles"]))
        subject, name, issuer = (str(content[key]) for key in ("subject", "name", "issuer"))
        return wanted, Identity(subject, name, Means(content["means"]), roles, facts, issuer)
    except (KeyError, ValueError, TypeError) as error:
        raise NotUnderstood("what a subscription says cannot be read by this release") from error


def owner_of(identity: Identity) -> str:
    """Who somebody is, as a digest: the same for all that he subscribes to."""
    owner = json.dumps([identity.means.value, identity.issuer, identity.subject])
    return hashlib.sha256(owner.encode("utf-8", "surrogatepass")).hexdigest()[:32]
