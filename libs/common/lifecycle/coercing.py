"""Rules that change attributes of an object on the way in: what each of them makes of one (pure).

Rules apply in their order, each to what those before it made. The actions of one rule all read what was there before
the rule, so that two attributes can be exchanged. Where a value comes from is an action's own matter: one that asks a
worklist belongs here, beside those that ask the object itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gantry.common.dicom.encoding.values import text_of
from gantry.common.dicom.query.matching import Predicate
from gantry.common.dicom.standard.tags import ISSUER_OF_PATIENT_ID, PATIENT_ID
from gantry.common.errors import NotUnderstood
from gantry.common.lifecycle.coercion import Coercion
from gantry.common.lifecycle.correctable import OF_STUDY, element_at, require_correctable
from gantry.common.lifecycle.patients import values_of

_MOST_CHARACTERS = 10_000
"""Of all values that are put into one object: they must find room in its file meta information."""
Attributes = Mapping[int, Sequence[Any]]


class Action(Protocol):
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
        given = [text_of(value) for value in attributes.get(self.source, ())]
        if not any(given):
            return [self.table[""]] if "" in self.table else None
        if self.default is None and not any(text in self.table for text in given):
            return None
        return [self.table.get(text, text if self.default is None else self.default) for text in given]


@dataclass(frozen=True, slots=True)
class CopyValues:
    """`copy`: the values of another attribute of the same object; without any it changes nothing."""

    tag: int
    source: int

    @property
    def reads(self) -> frozenset[int]:
        return frozenset((self.source,))

    def texts(self, attributes: Attributes) -> list[str] | None:
        given = [text_of(value) for value in attributes.get(self.source, ())]
        return given if any(given) else None


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
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """What one rule does to one attribute: values as texts, none where it is empty or absent. `unfit` says why it does
    nothing: what it would put there is no value of the attribute."""

    rule: str
    tag: int
    before: tuple[str, ...]
    after: tuple[str, ...]
    unfit: str = ""


@dataclass(slots=True)
class Changes:
    """What all rules do to one object, in their order, and its attributes after that."""

    made: list[Change] = field(default_factory=list)
    values: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """The elements that are not what they were, in the DICOM JSON model."""

    @property
    def rules(self) -> tuple[str, ...]:
        """The names of the rules that changed something."""
        return tuple(dict.fromkeys(one.rule for one in self.made if not one.unfit))


class SenderRules:
    """The rules about one sender."""

    def __init__(self, rules: Sequence[CoercionRule]) -> None:
        self._rules = rules
        reads = [rule.asks for rule in rules]
        reads += [action.reads | {action.tag} for rule in rules for action in rule.actions]
        self.reads: frozenset[int] = frozenset().union(*reads)
        """The attributes that decide what they do."""

    def changes(self, attributes: Attributes) -> Changes:
        """What they do to an object with these attributes (those of `reads` are enough)."""
        changes, now = Changes(), dict(attributes)
        for rule in self._rules:
            if rule.matches(now):
                for change, element in _changes(rule, now, changes):
                    changes.made.append(change)
                    if element is not None:
                        changes.values[f"{change.tag:08X}"] = element
                now = {**attributes, **{int(name, 16): values_of(value) for name, value in changes.values.items()}}
        for name in [
            name for name in changes.values if _texts(attributes, int(name, 16)) == _texts(now, int(name, 16))
        ]:
            del changes.values[name]  # a later rule took it back
        return changes

    def coercion(self, attributes: Attributes, at: int) -> tuple[Coercion | None, Changes]:
        """What is to be kept of it, and the changes; None where nothing changes. `at` in microseconds since the
        epoch."""
        changes = self.changes(attributes)
        return (Coercion(at, changes.rules, changes.values) if changes.values else None), changes


def _changes(
    rule: CoercionRule, attributes: Attributes, before: Changes
) -> Iterator[tuple[Change, Mapping[str, Any] | None]]:
    """The changes of one rule, each with the element that it puts there; None where that is no value of it."""
    for action in rule.actions:
        texts = action.texts(attributes)
        given = _texts(attributes, action.tag)
        if texts is None or (wanted := tuple(texts if any(texts) else ())) == given:
            continue
        room = sum(len(text) for one in before.made if not one.unfit for text in one.after)
        try:
            element = element_at(action.tag, list(wanted))
            require_correctable({f"{action.tag:08X}": element}, OF_STUDY)
            if room + sum(map(len, wanted)) > _MOST_CHARACTERS:
                raise NotUnderstood(f"more than {_MOST_CHARACTERS} characters are put into one object")
        except NotUnderstood as error:
            yield Change(rule.name, action.tag, given, wanted, str(error)), None
        else:
            yield Change(rule.name, action.tag, given, wanted), element


def _texts(attributes: Attributes, tag: int) -> tuple[str, ...]:
    """The values of an attribute as texts; none for a sequence's items but their number, and where all are empty."""
    values = attributes.get(tag, ())
    if values and isinstance(values[0], dict) and any(isinstance(key, int) for key in values[0]):
        return (f"{len(values)} items",)
    texts = tuple(text_of(value) for value in values)
    return texts if any(texts) else ()


class CoercionRules:
    """All rules, by sender."""

    def __init__(self, rules: Sequence[CoercionRule]) -> None:
        self._rules = rules
        self._of: dict[tuple[str, str], SenderRules | None] = {}

    def of(self, calling: str, called: str) -> SenderRules | None:
        """The rules about a sender; None where there are none. Over HTTP the name of the token is the calling AE title,
        and `called` is ""."""
        sender = calling, called
        if sender not in self._of:
            some = [rule for rule in self._rules if rule.is_from(calling, called)]
            if len(self._of) >= _MOST_SENDERS:
                self._of.clear()
            self._of[sender] = SenderRules(some) if some else None
        return self._of[sender]


_MOST_SENDERS = 1000
"""Whose rules are remembered: nobody fills the memory with invented names."""
