"""Coercion rules as the settings write them: what would do nothing, or may not be, is refused by the rule's name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from gantry.common.config.lifecycle_sections import CoercionRuleSettings, MapSettings, OrderSourceSettings
from gantry.common.dicom.query.matching import matcher
from gantry.common.dicom.query.where import objects_where
from gantry.common.dicom.standard.dictionary import TAGS, keyword_of_tag
from gantry.common.dicom.standard.tags import ISSUER_OF_PATIENT_ID, PATIENT_ID
from gantry.common.dicom.standard.vrs import BULK_VRS, vr_of
from gantry.common.errors import ConfigError, NotUnderstood
from gantry.common.lifecycle.coercing import (
    AddIssuer,
    AttributeAction,
    CoercionRule,
    CoercionRules,
    CopyValues,
    MapValues,
    SetValues,
)
from gantry.common.lifecycle.correctable import OF_STUDY, element_at, require_correctable, tag_named
from gantry.common.lifecycle.from_orders import FromOrder, OrderKey

SETTING = "coercion.rules"
# PS3.3 C.7.3.1, C.7.5.2: Type 1 in every object, or in the enhanced ones.
_NEVER_EMPTY = frozenset(
    TAGS[keyword] for keyword in ("Modality", "Manufacturer", "ManufacturerModelName", "DeviceSerialNumber")
)
_ONE_TEXT = (b"LT", b"ST", b"UT")
"""PS3.5 6.2: in these VRs a backslash is text."""


def coercion_rules(settings: Sequence[CoercionRuleSettings]) -> CoercionRules | None:
    """The rules of `coercion.rules`; None where there are none. Raises `ConfigError`."""
    rules: dict[str, CoercionRule] = {}
    for section in settings:
        if section.name in rules:
            raise ConfigError(SETTING, None, f"two rules are called {section.name}")
        try:
            rules[section.name] = _rule(section)
        except NotUnderstood as error:
            raise ConfigError(SETTING, None, f"rule {section.name}: {error}") from error
    return CoercionRules(list(rules.values())) if rules else None


def _rule(settings: CoercionRuleSettings) -> CoercionRule:
    query = objects_where(settings.where)
    actions = tuple(_actions(settings))
    order = None if settings.order is None else _order(settings.order)
    if not actions and order is None:
        raise NotUnderstood("it does nothing: give at least one of set, map, copy, nullify, issuer and order")
    tags = [*(action.tag for action in actions), *(() if order is None else order.copied)]
    for tag in tags:
        if tags.count(tag) > 1:
            raise NotUnderstood(f"{keyword_of_tag(tag)} is changed twice; in a rule of its own it can be changed again")
    return CoercionRule(
        settings.name,
        _from(settings.calling, settings.called),
        matcher(query) if query.conditions else lambda _: True,
        frozenset(query.conditions),
        actions,
        order,
    )


def _actions(settings: CoercionRuleSettings) -> Iterator[AttributeAction]:
    for keyword, texts in settings.to_set.items():
        tag = _target(keyword, "set")
        yield SetValues(tag, _fitting(keyword, tag, texts))
    for keyword, table in settings.to_map.items():
        yield _map(keyword, table)
    for keyword, source in settings.to_copy.items():
        tag, other = _target(keyword, "copy"), _source(source)
        if tag == other:
            raise NotUnderstood(f"{keyword} is copied from itself")
        yield CopyValues(tag, other)
    for keyword in settings.nullify:
        tag = _target(keyword, "nullify")
        if tag in _NEVER_EMPTY:
            raise NotUnderstood(f"{keyword} cannot be emptied: objects must have a value (PS3.3, Type 1)")
        yield SetValues(tag, ())
    if settings.issuer:
        (issuer,) = _fitting("issuer", ISSUER_OF_PATIENT_ID, (settings.issuer,))
        yield AddIssuer(issuer)


def _order(settings: OrderSourceSettings) -> FromOrder:
    tags = frozenset(_target(keyword, "order") for keyword in settings.copied)
    # A Patient ID without its issuer is another patient's.
    return FromOrder(tuple(map(OrderKey, settings.by)), tags | {ISSUER_OF_PATIENT_ID} if PATIENT_ID in tags else tags)


def _map(keyword: str, settings: MapSettings) -> MapValues:
    tag = _target(keyword, "map")
    source = tag if settings.source is None else _source(settings.source)
    for text in settings.values.values():
        _fitting(keyword, tag, (text,))
    if settings.default is not None:
        _fitting(keyword, tag, (settings.default,))
    return MapValues(tag, source, settings.values, settings.default)


def _target(keyword: str, action: str) -> int:
    """The tag of an attribute that is changed."""
    tag = tag_named(keyword)
    if tag not in OF_STUDY:
        raise NotUnderstood(
            f"{keyword} cannot be changed: attributes of patient, study, series and equipment can, but no UID, and"
            " nothing that says how pixels are to be read"
        )
    if vr_of(tag) == b"SQ" and action not in ("nullify", "order"):
        raise NotUnderstood(f"{keyword} is a sequence: it can be nullified, or come from an order, and nothing else")
    return tag


def _source(keyword: str) -> int:
    """The tag of an attribute whose values are used."""
    tag = tag_named(keyword)
    if not keyword_of_tag(tag) or vr_of(tag) in {*BULK_VRS, b"SQ"}:
        raise NotUnderstood(f"{keyword} has no values that could be used: it is no attribute, a sequence, or binary")
    return tag


def _fitting(keyword: str, tag: int, texts: Sequence[str]) -> tuple[str, ...]:
    """The values of an attribute, several of them separated by backslashes."""
    one_text = vr_of(tag) in _ONE_TEXT
    values = [part.strip() for text in texts for part in ([text] if one_text else text.split("\\"))]
    if not all(values):
        raise NotUnderstood(f"{keyword}: an empty value; name it under `nullify` to empty it")
    require_correctable({f"{tag:08X}": element_at(tag, values)}, OF_STUDY)
    return tuple(values)


def _from(calling: Sequence[str], called: Sequence[str]) -> Callable[[str, str], bool]:
    callers, ours = _any_of(calling), _any_of(called)
    return lambda calling, called: callers(calling) and ours(called)


def _any_of(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Whether a title is one of these; any is where there are none. Upper and lower case differ (PS3.5 6.2)."""
    if not patterns:
        return lambda _: True
    words = "|".join(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".") for pattern in patterns)
    compiled = re.compile(words, re.DOTALL)
    return lambda title: compiled.fullmatch(title) is not None
