"""Which studies an identity sees, as conditions for the index (PS3.4 C.2.2.2). Pure.

    referrals    Referring Physician's Name, or an identification of the physician, is that of the identity
    record       Patient ID, and its issuer if the identity has one, are those of the identity
    institution  Institution Name is one of the identity's
    department   Institutional Department Name of a series is one of the identity's: the whole study

Beside these rules, roles may be excluded from confidential studies: those with any Confidentiality Constraint on
Patient Data Description (0040,3001) (PS3.3 C.2.3).

Invisible studies are not counted either, so sight is part of each query to the index, and `SIGHT` carries it from the
admission of a caller to the index (`gantry.common.runtime.restricted_index`), through every task that is started for
the request.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import Enum

from gantry.common.access.identity import Facts, Identity
from gantry.common.access.verbs import CallerRole
from gantry.common.dicom.query.matching import Condition, Empty, Item, MultipleValues, Single
from gantry.common.dicom.standard.tags import (
    CODE_VALUE,
    CONFIDENTIALITY_CONSTRAINT_ON_PATIENT_DATA_DESCRIPTION,
    INSTITUTION_NAME,
    INSTITUTIONAL_DEPARTMENT_NAME,
    ISSUER_OF_PATIENT_ID,
    PATIENT_ID,
    PERSON_IDENTIFICATION_CODE_SEQUENCE,
    REFERRING_PHYSICIAN_IDENTIFICATION_SEQUENCE,
    REFERRING_PHYSICIAN_NAME,
)
from gantry.common.errors import NotUnderstood


class Rule(Enum):
    """A rule about studies."""

    REFERRALS = "referrals"
    RECORD = "record"
    INSTITUTION = "institution"
    DEPARTMENT = "department"


Alternative = Mapping[int, Condition]
"""Conditions by tag, all of which hold."""


@dataclass(frozen=True, slots=True)
class Sight:
    """Studies that meet one of the alternatives; every study if there is no restriction (None). With `copies`, the name
    of a link, they are those that were de-identified for it, and nothing of the archive itself is seen."""

    alternatives: tuple[Alternative, ...] | None = None
    copies: str = ""

    @property
    def whole(self) -> bool:
        """Whether everything is seen."""
        return self.alternatives is None

    @property
    def all_ordinary(self) -> bool:
        """Whether everything is seen, with or without confidential studies."""
        return self.alternatives is None or ORDINARY in self.alternatives


ORDINARY: Alternative = {CONFIDENTIALITY_CONSTRAINT_ON_PATIENT_DATA_DESCRIPTION: Empty()}
"""The condition of studies that are not confidential."""
EVERYTHING = Sight()
NOTHING = Sight(())

DEFAULT_RULES: Mapping[CallerRole, frozenset[Rule]] = {
    CallerRole.REFERRER: frozenset((Rule.REFERRALS,)),
    CallerRole.PATIENT: frozenset((Rule.RECORD,)),
}
"""Roles that are not here see every study."""


@dataclass(frozen=True, slots=True)
class SightRules:
    """What roles see. If `confidential` is given, it names the roles that also see confidential studies."""

    of_roles: Mapping[CallerRole, frozenset[Rule]] = field(default_factory=lambda: DEFAULT_RULES)
    confidential: frozenset[CallerRole] | None = None

    def show_confidential(self, role: CallerRole) -> bool:
        """Whether a role sees confidential studies among those that its rules show."""
        return self.confidential is None or role in self.confidential


def sight_of(identity: Identity, rules: SightRules) -> Sight:
    """What an identity sees: everything if one of its roles does, else what any rule of any of its roles shows. A rule
    for which the identity has no facts shows nothing. Rules do not restrict an identity without a role."""
    if not identity.roles:
        return EVERYTHING
    alternatives: list[Alternative] = []
    for role in sorted(identity.roles, key=lambda role: role.value):
        shown: Iterable[Alternative] = ({},)
        if role in rules.of_roles:
            wanted = sorted(rules.of_roles[role], key=lambda rule: rule.value)
            shown = [alternative for rule in wanted for alternative in _alternatives(rule, identity.facts)]
        alternatives += (
            shown if rules.show_confidential(role) else [{**alternative, **ORDINARY} for alternative in shown]
        )
    if {} in alternatives:
        return EVERYTHING
    return Sight(
        tuple(
            alternative for number, alternative in enumerate(alternatives) if alternative not in alternatives[:number]
        )
    )


def without_confidential(sight: Sight) -> Sight:
    """The sight without confidential studies."""
    if sight.alternatives is None:
        return Sight((ORDINARY,), sight.copies)
    return Sight(tuple(conjoined(alternative, ORDINARY) for alternative in sight.alternatives), sight.copies)


def _alternatives(rule: Rule, facts: Facts) -> Iterator[Alternative]:
    if rule is Rule.REFERRALS:
        if facts.referrers:
            yield {REFERRING_PHYSICIAN_NAME: Single(facts.referrers)}
        if facts.referrer_ids:
            # PS3.3 table 10-1: a person's identification as codes.
            code = Item({CODE_VALUE: Single(facts.referrer_ids)})
            yield {REFERRING_PHYSICIAN_IDENTIFICATION_SEQUENCE: Item({PERSON_IDENTIFICATION_CODE_SEQUENCE: code})}
    elif rule is Rule.RECORD:
        for issuer in dict.fromkeys(issuer for _, issuer in facts.patients):
            ids = tuple(patient for patient, assigner in facts.patients if assigner == issuer)
            yield {PATIENT_ID: Single(ids)} | ({ISSUER_OF_PATIENT_ID: Single((issuer,))} if issuer else {})
    elif rule is Rule.INSTITUTION:
        if facts.institutions:
            yield {INSTITUTION_NAME: Single(facts.institutions)}
    elif facts.departments:
        yield {INSTITUTIONAL_DEPARTMENT_NAME: Single(facts.departments)}


def conjoined(conditions: Mapping[int, Condition], further: Alternative) -> dict[int, Condition]:
    """All conditions. Two on one attribute hold both (PS3.4 C.2.2.2.8)."""
    conjunction = dict(conditions)
    for tag, condition in further.items():
        other = conjunction.get(tag)
        conjunction[tag] = (
            condition if other is None else MultipleValues((*_conditions_in(other), *_conditions_in(condition)))
        )
    return conjunction


def _conditions_in(condition: Condition) -> tuple[Condition, ...]:
    return condition.conditions if isinstance(condition, MultipleValues) else (condition,)


def rules_of(overrides: Iterable[str], confidential: Iterable[str] = ()) -> SightRules:
    """The default rules with `ROLE=RULE,RULE` in place of some; `ROLE=all` sees everything. `confidential` are the
    roles that see confidential studies, all roles if none is named. Raises `NotUnderstood`."""
    rules = dict(DEFAULT_RULES)
    for line in overrides:
        name, _, words = line.partition("=")
        names = [word.strip() for word in words.split(",") if word.strip()]
        try:
            role = CallerRole(name.strip())
            role_rules = frozenset(Rule(word) for word in names if names != ["all"])
        except ValueError as error:
            raise NotUnderstood(f"{line!r}: {error}") from None
        if not names:
            raise NotUnderstood(f"{line!r}: not ROLE=RULE,RULE or ROLE=all")
        rules.pop(role, None)
        if role_rules:
            rules[role] = role_rules
    try:
        named = frozenset(CallerRole(name) for name in confidential)
    except ValueError as error:
        raise NotUnderstood(str(error)) from None
    return SightRules(rules, named or None)


SIGHT: ContextVar[Sight] = ContextVar("gantry_sight", default=EVERYTHING)
"""What the current caller sees; everything for the archive's own work."""


@contextmanager
def restricted(sight: Sight) -> Iterator[None]:
    """Code inside this block has the given sight."""
    token = SIGHT.set(sight)
    try:
        yield
    finally:
        SIGHT.reset(token)
