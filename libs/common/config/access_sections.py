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
    """Whether what is fetched there cannot be changed on its way: https, or a server on this machine."""
    url = urlsplit(value)
    return bool(url.hostname) and (url.scheme == "https" or (url.scheme == "http" and url.hostname in _LOOPBACK))


def _safe_url(value: str) -> str:
    if not is_safe_url(value):
        raise ValueError(f"{value!r} is not an https URL: keys that came by http could be anybody's")
    return value


SafeUrl = Annotated[str, AfterValidator(_safe_url)]


class IssuerSettings(Section):
    """One identity provider whose tokens are accepted"""

    name: str = Field(description="Begins the names of its users in logs", pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")
    url: SafeUrl = Field(description="The issuer, exactly as its tokens name it (`iss`)")
    audience: tuple[str, ...] = Field(description="Tokens are for one of these (`aud`)", min_length=1)
    jwks_url: SafeUrl | None = Field(default=None, description="Its keys; found by discovery where it is not given")
    ca: Path | None = Field(default=None, description="PEM file: who signs its certificate, if not a public authority")
    algorithms: tuple[Algorithm, ...] = Field(
        default=("RS256", "PS256", "ES256"), description="Of signatures", min_length=1
    )
    scopes: tuple[str, ...] = Field(default=(), description="A token must have all of these")
    leeway: Annotated[float, Field(ge=0, le=300)] = Field(
        default=30.0, description="Seconds by which clocks may differ"
    )
    roles_claim: str = Field(default="roles", description="Where its roles are; dots lead inwards")
    roles: tuple[RoleOfIssuer, ...] = Field(
        default=(), description="`ITS-ROLE=ROLE`; without any, its roles are called as ours"
    )
    name_claim: str = Field(default="preferred_username", description="What logs call somebody; `sub` without it")
    referrer_claim: str = Field(default="", description="Names as Referring Physician's Name has them")
    referrer_id_claim: str = Field(default="", description="Codes of Referring Physician Identification Sequence")
    patient_claim: str = Field(default="", description="Patient IDs")
    patient_issuer: str = Field(default="", description="Their Issuer of Patient ID; any where it is not given")
    institution_claim: str = Field(default="", description="Names as Institution Name has them")
    department_claim: str = Field(default="", description="Names as Institutional Department Name has them")
    fhir_url: SafeUrl | None = Field(
        default=None,
        description="Base of its health record's FHIR R4 ([SMART](access.md#apps-of-a-health-record)): `patient_claim` "
        "is an id of a Patient there, who is asked for with the token",
    )
    patient_systems: tuple[PatientSystem, ...] = Field(
        default=(),
        description="`SYSTEM=ISSUER`: identifiers of that Patient which are Patient IDs here, of that issuer "
        "(`SYSTEM=`: of any)",
    )
    introspect: tuple[Literal["opaque", "signed"], ...] = Field(
        default=(), description="Tokens that it is asked about (RFC 7662): those that say nothing, signed ones as well"
    )
    introspection_url: SafeUrl | None = Field(default=None, description="Where; found by discovery if not given")
    client_id: str = Field(default="", description="As whom we ask")
    client_secret_file: Path | None = Field(default=None, description="Its secret; read each time")

    @model_validator(mode="after")
    def _can_ask(self) -> Self:
        if self.introspect and not (self.client_id and self.client_secret_file):
            raise ValueError("introspect needs client_id and client_secret_file")
        if self.fhir_url and not (self.patient_claim and self.patient_systems):
            raise ValueError("fhir_url needs patient_claim and patient_systems")
        if self.fhir_url and self.patient_issuer:
            raise ValueError("with fhir_url issuers are said by patient_systems, not by patient_issuer")
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
        (), "ROLE=VERBS", "What a role may, in place of [the default](access.md#roles): `technologist=read,store`"
    )
    sees: tuple[RoleRules, ...] = setting(
        (),
        "ROLE=RULES",
        "Which studies a role sees: `all`, or any of `referrals`, `record`, `institution`, `department`. Where nothing "
        "else is said, a referrer sees referrals, a patient his record, others all",
    )
    confidential: tuple[RoleName, ...] = setting(
        (),
        "ROLE",
        "Roles that see [confidential studies](access.md#confidential-studies), too. Where none is named, all do",
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
        "A secret of 32 characters or more a line, the same for all processes: who sees some studies may open another "
        "one for a time ([breaking the glass](access.md#breaking-the-glass)), and nobody without it",
    )
    override_minutes: Annotated[float, Field(gt=0, le=24 * 60)] = setting(60.0, "min", "An override lasts for so long")
    keys_every: Seconds = setting(600.0, "s", "An issuer's keys are read again after so long")
    keys_deadline: Seconds = setting(5.0, "s", "For reading them, and for each question about a token")
    introspect_every: Seconds = setting(
        30.0, "s", "What an issuer said of a token counts for so long: who is locked out there, is out here by then"
    )

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        for attribute in ("name", "url"):
            values = [getattr(issuer, attribute) for issuer in self.issuers]
            if len(set(values)) < len(values):
                raise ValueError(f"two issuers have one {attribute}")
        if sum("opaque" in issuer.introspect for issuer in self.issuers) > 1:
            raise ValueError("opaque tokens say nothing of their issuer: only one can be asked about them")
        for field in (self.roles, self.sees):
            roles = [line.partition("=")[0] for line in field]
            if len(set(roles)) < len(roles):
                raise ValueError("a role is there twice")
        return self
