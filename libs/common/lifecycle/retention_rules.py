"""Retention rules as the settings write them."""

from __future__ import annotations

from collections.abc import Sequence

from gantry.common.config.lifecycle_sections import RetentionSettings
from gantry.common.dicom.query.attributes import AttributeTable
from gantry.common.dicom.query.where import studies_where
from gantry.common.errors import ConfigError, NotUnderstood
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.lifecycle.retention import Period, RetentionRule, Since

_UNITS = {"y": "years", "m": "months", "d": "days"}


def retention_rules(settings: Sequence[RetentionSettings], attributes: AttributeTable) -> list[RetentionRule]:
    """The rules of `lifecycle.retention`. Raises `ConfigError` for a condition that cannot be searched for, and a name
    that is there twice."""
    rules: dict[str, RetentionRule] = {}
    for section in settings:
        if section.name in rules:
            raise ConfigError("lifecycle.retention", None, f"two rules are called {section.name}")
        rules[section.name] = _rule(section, attributes)
    return list(rules.values())


def _rule(settings: RetentionSettings, attributes: AttributeTable) -> RetentionRule:
    try:
        query = studies_where(settings.where, DEFAULT_PARTITION, attributes)
    except NotUnderstood as error:
        raise ConfigError("lifecycle.retention", None, f"rule {settings.name}: {error}") from error
    return RetentionRule(
        settings.name,
        query,
        period_of(settings.keep),
        Since(settings.since),
        frozenset(settings.sources),
        settings.younger_than,
        settings.then == "delete",
        settings.committed_by,
    )


def period_of(keep: str) -> Period | None:
    """`10y`, `6m` or `30d`; None for `forever`."""
    return None if keep == "forever" else Period(**{_UNITS[keep[-1]]: int(keep[:-1])})
