"""Settings of who may do what over HTTP (docs/access.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from gantry.common.config.values import Seconds, Section, setting

_ROLES = "technologist|radiologist|referrer|patient|administrator|service"
_VERBS = "read|store|send|history|changes|worklist|order|correct|reject|delete|hold|operate|override|share|subscribe"
_RULES = "referrals|record|institution|department"
RoleName = Annotated[str, Field(pattern=rf"^({_ROLES})$")]
RoleVerbs = Annotated[str, Field(pattern=rf"^({_ROLES})=(({_VERBS})(,({_VERBS}))*)?$")]
RoleRules = Annotated[str, Field(pattern=rf"^({_ROLES})=(all|({_RULES})(,({_RULES}))*)$")]
RoleView = Annotated[str, Field(pattern=rf"^({_ROLES})=[a-z][a-z0-9-]{{0,31}}$")]
RoleOfIssuer = Annotated[str, Field(pattern=rf"^[^=\s]{{1,128}}=({_ROLES})$")]
PatientSystem = Annotated[str, Field(pattern=r"^[^=\s]{1,256}=[^\x00-\x1f\\]{0,64}$")]
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
_LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))


def is_safe_url(value: str) -> bool:
    """Whether nobody can change a response on its way: the URL is https, or a server on this machine."""
    url = urlsplit(value)
    return bool(url.hostname) and (url.scheme == "https" or (url.scheme == "http" and url.hostname in _LOOPBACK))


def _safe_url(value: str) -> str:
    if not is_safe_url(value):
        raise ValueError(f"{value!r} is not an https URL: over http anybody could replace the keys")
    return value


SafeUrl = Annotated[str, AfterValidator(_safe_url)]


class IssuerSettings(Section):
    """One identity provider whose tokens are accepted"""

    name: str = Field(description="Prefix of its users' names in logs", pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")
    url: SafeUrl = Field(description="The issuer, exactly as its tokens name it (`iss`)")
    audience: tuple[str, ...] = Field(description="A token must be for one of these (`aud`)", min_length=1)
    jwks_url: SafeUrl | None = Field(default=None, description="Its keys; found by discovery where it is not given")
    ca: Path | None = Field(default=None, description="PEM file: the authority of its certificate, if not a public one")
    algorithms: tuple[Algorithm, ...] = Field(
        default=("RS256", "PS256", "ES256"), description="Allowed signature algorithms", min_length=1
    )
    scopes: tuple[str, ...] = Field(default=(), description="A token must have all of these")
    leeway: Annotated[float, Field(ge=0, le=300)] = Field(
        default=30.0, description="Seconds by which its clock may differ from ours"
    )
    roles_claim: str = Field(default="roles", description="The claim with its roles; dots separate nested names")
    roles: tuple[RoleOfIssuer, ...] = Field(
        default=(), description="`ITS-ROLE=ROLE`; without any, its roles have the names of ours"
    )
    name_claim: str = Field(
        default="preferred_username", description="The claim that names a user in logs; `sub` if absent"
    )
    referrer_claim: str = Field(default="", description="Names as Referring Physician's Name has them")
    referrer_id_claim: str = Field(default="", description="Codes of Referring Physician Identification Sequence")
    patient_claim: str = Field(default="", description="Patient IDs")
    patient_issuer: str = Field(default="", description="Their Issuer of Patient ID; any issuer where not given")
    institution_claim: str = Field(default="", description="Names as Institution Name has them")
    department_claim: str = Field(default="", description="Names as Institutional Department Name has them")
    fhir_url: SafeUrl | None = Field(
        default=None,
        description="Base of its health record's FHIR R4 ([SMART](access.md#apps-of-a-health-record)): `patient_claim` "
        "is the id of a Patient there, which is read with the token",
    )
    patient_systems: tuple[PatientSystem, ...] = Field(
        default=(),
        description="`SYSTEM=ISSUER`: identifiers of that Patient which are Patient IDs here, of that issuer "
        "(`SYSTEM=`: of any issuer)",
    )
    introspect: tuple[Literal["opaque", "signed"], ...] = Field(
        default=(), description="Tokens that it is asked about (RFC 7662): opaque tokens only, or signed ones as well"
    )
    introspection_url: SafeUrl | None = Field(
        default=None, description="Introspection endpoint; found by discovery if not given"
    )
    client_id: str = Field(default="", description="Our client id for introspection")
    client_secret_file: Path | None = Field(default=None, description="Its secret; read each time")

    @model_validator(mode="after")
    def _can_ask(self) -> Self:
        if self.introspect and not (self.client_id and self.client_secret_file):
            raise ValueError("introspect needs client_id and client_secret_file")
        if self.fhir_url and not (self.patient_claim and self.patient_systems):
            raise ValueError("fhir_url needs patient_claim and patient_systems")
        if self.fhir_url and self.patient_issuer:
            raise ValueError("with fhir_url, name issuers in patient_systems, not in patient_issuer")
        return self


class AccessSettings(Section):
    """Who may do what over HTTP: identity providers, roles and what they see ([access](access.md))"""

    issuers: tuple[IssuerSettings, ...] = setting(
        (),
        "list",
        "Identity providers (OpenID Connect) whose bearer tokens are accepted beside those of `http.tokens_file`: "
        "`{name: sso, url: 'https://sso.example/realms/hospital', audience: [gantry]}`",
    )
    roles: tuple[RoleVerbs, ...] = setting(
        (), "ROLE=VERBS", "What a role may do, in place of [the default](access.md#roles): `technologist=read,store`"
    )
    sees: tuple[RoleRules, ...] = setting(
        (),
        "ROLE=RULES",
        "Which studies a role sees: `all`, or any of `referrals`, `record`, `institution`, `department`. By default a "
        "referrer sees referrals, a patient their record, all other roles everything",
    )
    confidential: tuple[RoleName, ...] = setting(
        (),
        "ROLE",
        "Roles that also see [confidential studies](access.md#confidential-studies). Where none is named, all do",
    )
    views: tuple[RoleView, ...] = setting(
        (), "ROLE=VIEW", "What a role sees of rejected instances: one of `lifecycle.views`; the first that fits counts"
    )
    users_file: Path | None = setting(
        None, "file", "Users whom peers name for their associations, with their passcodes ([users](access.md#users))"
    )
    override_key_file: Path | None = setting(
        None,
        "file",
        "Secrets of 32 characters or more, one a line, the same for all processes. With it, a user who sees some "
        "studies may open another one for a time ([breaking the glass](access.md#breaking-the-glass)); without it "
        "nobody may",
    )
    override_minutes: Annotated[float, Field(gt=0, le=24 * 60)] = setting(60.0, "min", "How long an override lasts")
    keys_every: Seconds = setting(600.0, "s", "How often an issuer's keys are read again")
    keys_deadline: Seconds = setting(5.0, "s", "Timeout for reading keys, and for each question about a token")
    introspect_every: Seconds = setting(
        30.0,
        "s",
        "How long an issuer's answer about a token is valid: a user locked out there is locked out here by then",
    )

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        for attribute in ("name", "url"):
            values = [getattr(issuer, attribute) for issuer in self.issuers]
            if len(set(values)) < len(values):
                raise ValueError(f"two issuers have the same {attribute}")
        if sum("opaque" in issuer.introspect for issuer in self.issuers) > 1:
            raise ValueError("opaque tokens do not name their issuer: only one issuer can be asked about them")
        for field in (self.roles, self.sees):
            roles = [line.partition("=")[0] for line in field]
            if len(set(roles)) < len(roles):
                raise ValueError("a role is listed twice")
        return self
