"""Rules that change attributes of an object on the way in: what each of them makes of one (pure).

Rules apply in their order, each to what those before it made. The actions of one rule all read what was there before
the rule, so that two attributes can be exchanged. What a rule takes from an order is asked for in between: rules say
what they need to know, and are asked again with the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from gantry.common.dicom.encoding.values import text_of
from gantry.common.dicom.model.json_writing import keys_as_attributes
from gantry.common.dicom.query.matching import Predicate
from gantry.common.dicom.standard.tags import ISSUER_OF_PATIENT_ID, PATIENT_ID
from gantry.common.errors import NotUnderstood
from gantry.common.lifecycle.coercion import Coercion
from gantry.common.lifecycle.correctable import OF_STUDY, element_at, require_correctable
from gantry.common.lifecycle.from_orders import Answers, Attributes, FromOrder, OrderOutcome, OrderQuestion
from gantry.common.lifecycle.patients import values_of

_ELEMENT_CHARACTERS = 24
_MOST_CHARACTERS = 10_000
"""Of all values that are put into one object: they must find room in its file meta information."""
NO_ANSWERS: Answers = MappingProxyType({})
Proposed = tuple[int, Mapping[str, Any]]


class AttributeAction(Protocol):
    """What puts values into one attribute."""

    @property
    def tag(self) -> int:
        """The attribute that is changed."""

    @property
    def reads(self) -> frozenset[int]:
        """The attributes that decide what it puts there, beside that one."""

    def texts(self, attributes: Attributes) -> list[str] | None:
        """The values that it puts there, as texts; none to empty it; None to leave it as it is."""


@dataclass(frozen=True, slots=True)
class SetValues:
    """`set` and `nullify`: the same values for every object."""

    tag: int
    values: tuple[str, ...]
    reads: frozenset[int] = frozenset()

    def texts(self, attributes: Attributes) -> list[str] | None:
        return list(self.values)


@dataclass(frozen=True, slots=True)
class MapValues:
    """`map`: each value of `source` by a table; one that is not in it becomes `default`, or stays where that is None.
    An attribute without a value is mapped where the table has ""."""

    tag: int
    source: int
    table: Mapping[str, str]
    default: str | None = None

    @property
    def reads(self) -> frozenset[int]:
        return frozenset((self.source,))

    def texts(self, attributes: Attributes) -> list[str] | None:
        values = [text_of(value) for value in attributes.get(self.source, ())]
        if not any(values):
            return [self.table[""]] if "" in self.table else None
        if self.default is None and not any(text in self.table for text in values):
            return None
        return [self.table.get(text, text if self.default is None else self.default) for text in values]


@dataclass(frozen=True, slots=True)
class CopyValues:
    """`copy`: the values of another attribute of the same object; without any it changes nothing."""

    tag: int
    source: int

    @property
    def reads(self) -> frozenset[int]:
        return frozenset((self.source,))

    def texts(self, attributes: Attributes) -> list[str] | None:
        values = [text_of(value) for value in attributes.get(self.source, ())]
        return values if any(values) else None


@dataclass(frozen=True, slots=True)
class AddIssuer:
    """`issuer`: the Issuer of Patient ID where there is a Patient ID without one."""

    issuer: str
    tag: int = ISSUER_OF_PATIENT_ID
    reads: frozenset[int] = frozenset((PATIENT_ID,))

    def texts(self, attributes: Attributes) -> list[str] | None:
        has_id, has_issuer = (any(map(text_of, attributes.get(tag, ()))) for tag in (PATIENT_ID, ISSUER_OF_PATIENT_ID))
        return [self.issuer] if has_id and not has_issuer else None


@dataclass(frozen=True, slots=True)
class CoercionRule:
    """One rule: about objects of senders that `is_from` knows by calling and called AE title, and that `matches`."""

    name: str
    is_from: Callable[[str, str], bool]
    matches: Predicate
    asks: frozenset[int]
    """The attributes that `matches` asks for."""
    actions: tuple[AttributeAction, ...]
    order: FromOrder | None = None
    """What it takes from the object's order."""

    @property
    def reads(self) -> frozenset[int]:
        """The attributes that decide what it does."""
        of_actions = [action.reads | {action.tag} for action in self.actions]
        return self.asks.union(*of_actions, self.order.reads if self.order is not None else ())


@dataclass(frozen=True, slots=True)
class AttributeChange:
    """What one rule does to one attribute: values as texts, none where it is empty or absent. `unfit` says why it does
    nothing: what it would put there is no value of the attribute."""

    rule: str
    tag: int
    before: tuple[str, ...]
    after: tuple[str, ...]
    unfit: str = ""


@dataclass(slots=True)
class CoercionResult:
    """What all rules do to one object, in their order, and its attributes after that."""

    made: list[AttributeChange] = field(default_factory=list)
    values: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """The elements that are not what they were, in the DICOM JSON model."""
    orders: dict[str, OrderOutcome] = field(default_factory=dict)
    """What came of looking for an order, by rule."""
    unanswered: OrderQuestion | None = None
    """What must be known before all this is true."""
    characters: int = 0
    """That were put into the object."""

    @property
    def rules(self) -> tuple[str, ...]:
        """The names of the rules that changed something."""
        return tuple(dict.fromkeys(change.rule for change in self.made if not change.unfit))


class SenderRules:
    """The rules about one sender."""

    def __init__(self, rules: Sequence[CoercionRule]) -> None:
        self._rules = rules
        self.reads: frozenset[int] = frozenset().union(*(rule.reads for rule in rules))
        """The attributes that decide what they do."""
        self.asks_orders = any(rule.order is not None for rule in rules)
        """Whether one of them takes values from orders."""

    def changes(self, attributes: Attributes, answers: Answers = NO_ANSWERS) -> CoercionResult:
        """What they do to an object with these attributes (those of `reads` are enough). With a question that is
        `unanswered` it is not all: ask again with its answer."""
        changes, now = CoercionResult(), dict(attributes)
        for rule in self._rules:
            if not rule.matches(now):
                continue
            proposed = _proposed(rule, now, answers, changes)
            if changes.unanswered is not None:
                return changes
            for tag, element in proposed:
                _make(changes, rule.name, tag, now, element)
            now = {**attributes, **{int(name, 16): values_of(value) for name, value in changes.values.items()}}
        for name in [name for name in changes.values if _same(attributes, now, int(name, 16))]:
            del changes.values[name]  # a later rule took it back
        return changes

    def coercion(
        self, attributes: Attributes, at: int, answers: Answers = NO_ANSWERS
    ) -> tuple[Coercion | None, CoercionResult]:
        """What is to be kept of it, and the changes; None where nothing changes. `at` in microseconds since the
        epoch."""
        changes = self.changes(attributes, answers)
        return (Coercion(at, changes.rules, changes.values) if changes.values else None), changes


def _proposed(rule: CoercionRule, attributes: Attributes, answers: Answers, changes: CoercionResult) -> list[Proposed]:
    """What one rule would put into an object. What came of looking for an order is noted in `changes`."""
    proposals = [(action.tag, action.texts(attributes)) for action in rule.actions]
    proposed: list[Proposed] = [
        (tag, element_at(tag, texts if any(texts) else [])) for tag, texts in proposals if texts is not None
    ]
    if rule.order is not None:
        question = rule.order.question(attributes)
        if (answer := answers.get(question)) is None:
            changes.unanswered = question
            return []
        changes.orders[rule.name] = answer.outcome
        if answer.outcome is OrderOutcome.FOUND:
            values = dict(rule.order.values(attributes, answer.values))
            proposed += [(int(name, 16), element) for name, element in keys_as_attributes(values).items()]
    return proposed


def _make(changes: CoercionResult, rule: str, tag: int, attributes: Attributes, element: Mapping[str, Any]) -> None:
    """One element in the place of what the attributes have, unless it is the same, or no value of it."""
    wanted = {tag: values_of(element)}
    if _same(attributes, wanted, tag):
        return
    before, after, name = _texts(attributes, tag), _texts(wanted, tag), f"{tag:08X}"
    try:
        require_correctable({name: element}, OF_STUDY)
        characters = changes.characters + _characters(element)
        if characters > _MOST_CHARACTERS:
            raise NotUnderstood(f"more than {_MOST_CHARACTERS} characters are put into one object")
    except NotUnderstood as error:
        changes.made.append(AttributeChange(rule, tag, before, after, str(error)))
    else:
        changes.made.append(AttributeChange(rule, tag, before, after))
        changes.values[name] = element
        changes.characters = characters


def _characters(element: Mapping[str, Any]) -> int:
    """Of the values; of an item, also what its elements are called."""
    if element.get("vr") != "SQ":
        return sum(len(text_of(value)) for value in element.get("Value", ()))
    nested = (each for item in element.get("Value", ()) for each in item.values())
    return sum(_ELEMENT_CHARACTERS + _characters(each) for each in nested)


def _same(attributes: Attributes, others: Attributes, tag: int) -> bool:
    """Whether both have the same values of an attribute."""
    own, other = attributes.get(tag, ()), others.get(tag, ())
    if _has_items(own) or _has_items(other):
        return _plain(own) == _plain(other)
    return _texts(attributes, tag) == _texts(others, tag)


def _has_items(values: Sequence[Any]) -> bool:
    return bool(values) and isinstance(values[0], dict) and any(isinstance(key, int) for key in values[0])


def _plain(values: Sequence[Any]) -> list[Any]:
    return [
        {tag: _plain(nested) for tag, nested in sorted(value.items())} if _has_items([value]) else text_of(value)
        for value in values
    ]


def _texts(attributes: Attributes, tag: int) -> tuple[str, ...]:
    """The values of an attribute as texts; none for a sequence's items but their number, and where all are empty."""
    values = attributes.get(tag, ())
    if _has_items(values):
        return (f"{len(values)} items",)
    texts = tuple(text_of(value) for value in values)
    return texts if any(texts) else ()


class CoercionRules:
    """All rules, by sender."""

    def __init__(self, rules: Sequence[CoercionRule]) -> None:
        self._rules = rules
        self._of: dict[tuple[str, str], SenderRules | None] = {}
        self.asks_orders = any(rule.order is not None for rule in rules)
        """Whether a rule takes values from orders."""

    def of(self, calling: str, called: str) -> SenderRules | None:
        """The rules about a sender; None where there are none. Over HTTP the name of the token is the calling AE title,
        and `called` is ""."""
        sender = calling, called
        if sender not in self._of:
            sender_rules = [rule for rule in self._rules if rule.is_from(calling, called)]
            if len(self._of) >= _MOST_SENDERS:
                self._of.clear()
            self._of[sender] = SenderRules(sender_rules) if sender_rules else None
        return self._of[sender]


_MOST_SENDERS = 1000
"""Whose rules are remembered: nobody fills the memory with invented names."""
