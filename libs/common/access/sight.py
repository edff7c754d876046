"""Which studies an identity sees, as conditions for the index (PS3.4 C.2.2.2). Pure.

    referrals    Referring Physician's Name, or an identification of him, is that of the identity
    record       Patient ID, and its issuer where the identity has one, are those of the identity
    institution  Institution Name is one of the identity's

What may not be seen is not counted either, so sight is part of each question to the index, and `SIGHT` carries it from
where a caller is admitted to where the index is asked (`gantry.common.runtime.restricted_index`), through every task
that is begun for the request.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum

from gantry.common.access.identity import Facts, Identity
from gantry.common.access.verbs import CallerRole
from gantry.common.dicom.query.matching import Condition, Item, MultipleValues, Single
from gantry.common.dicom.standard.tags import (
    CODE_VALUE,
    INSTITUTION_NAME,
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


Alternative = Mapping[int, Condition]
"""Conditions by tag, all of which hold."""


@dataclass(frozen=True, slots=True)
class Sight:
    """Studies that meet one of the alternatives; every study where there is no restriction (None). With `copies`, the
    name of a link, they are those that were de-identified for it, and nothing of the archive itself is seen."""

    alternatives: tuple[Alternative, ...] | None = None
    copies: str = ""

    @property
    def whole(self) -> bool:
        """Whether everything is seen."""
        return self.alternatives is None


EVERYTHING = Sight()
NOTHING = Sight(())

DEFAULT_RULES: Mapping[CallerRole, frozenset[Rule]] = {
    CallerRole.REFERRER: frozenset((Rule.REFERRALS,)),
    CallerRole.PATIENT: frozenset((Rule.RECORD,)),
}
"""Roles that are not here see every study."""


def sight_of(identity: Identity, rules: Mapping[CallerRole, frozenset[Rule]]) -> Sight:
    """What an identity sees: everything if one of its roles does, else what any rule of any of its roles shows. A rule
    that the identity has no facts for shows nothing."""
    if any(role not in rules for role in identity.roles) or not identity.roles:
        return EVERYTHING
    wanted = sorted({rule for role in identity.roles for rule in rules[role]}, key=lambda rule: rule.value)
    return Sight(tuple(alternative for rule in wanted for alternative in _alternatives(rule, identity.facts)))


def _alternatives(rule: Rule, facts: Facts) -> Iterator[Alternative]:
    if rule is Rule.REFERRALS:
        if facts.referrers:
            yield {REFERRING_PHYSICIAN_NAME: Single(facts.referrers)}
        if facts.referrer_ids:
            # PS3.3 table 10-1: who somebody is, as codes.
            code = Item({CODE_VALUE: Single(facts.referrer_ids)})
            yield {REFERRING_PHYSICIAN_IDENTIFICATION_SEQUENCE: Item({PERSON_IDENTIFICATION_CODE_SEQUENCE: code})}
    elif rule is Rule.RECORD:
        for issuer in dict.fromkeys(issuer for _, issuer in facts.patients):
            ids = tuple(patient for patient, of in facts.patients if of == issuer)
            yield {PATIENT_ID: Single(ids)} | ({ISSUER_OF_PATIENT_ID: Single((issuer,))} if issuer else {})
    elif facts.institutions:
        yield {INSTITUTION_NAME: Single(facts.institutions)}


def conjoined(asked: Mapping[int, Condition], further: Alternative) -> dict[int, Condition]:
    """All conditions. Two on one attribute hold both (PS3.4 C.2.2.2.8)."""
    found = dict(asked)
    for tag, condition in further.items():
        other = found.get(tag)
        found[tag] = condition if other is None else MultipleValues((*_each(other), *_each(condition)))
    return found


def _each(condition: Condition) -> tuple[Condition, ...]:
    return condition.conditions if isinstance(condition, MultipleValues) else (condition,)


def rules_of(overrides: Iterable[str]) -> Mapping[CallerRole, frozenset[Rule]]:
    """The default rules with `ROLE=RULE,RULE` in place of some; `ROLE=all` sees everything. Raises `NotUnderstood`."""
    rules = dict(DEFAULT_RULES)
    for line in overrides:
        name, _, words = line.partition("=")
        given = [word.strip() for word in words.split(",") if word.strip()]
        try:
            role = CallerRole(name.strip())
            found = frozenset(Rule(word) for word in given if given != ["all"])
        except ValueError as error:
            raise NotUnderstood(f"{line!r}: {error}") from None
        if not given:
            raise NotUnderstood(f"{line!r}: not ROLE=RULE,RULE or ROLE=all")
        rules.pop(role, None)
        if found:
            rules[role] = found
    return rules


SIGHT: ContextVar[Sight] = ContextVar("gantry_sight", default=EVERYTHING)
"""What the caller sees for whom something is done; everything for what the archive does by itself."""


@contextmanager
def restricted(sight: Sight) -> Iterator[None]:
    """Whatever is done inside is done for somebody who sees so much."""
    token = SIGHT.set(sight)
    try:
        yield
    finally:
        SIGHT.reset(token)
