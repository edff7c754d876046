"""Rules of object stores as the settings write them."""

from __future__ import annotations

from collections.abc import Sequence

from gantry.common.config.lifecycle_sections import TierRuleSettings
from gantry.common.dicom.query.attributes import AttributeTable
from gantry.common.dicom.query.where import studies_where
from gantry.common.errors import ConfigError, NotUnderstood
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.lifecycle.retention import RetentionRule, Since
from gantry.common.lifecycle.retention_rules import period_of
from gantry.common.lifecycle.tiers import TierRule

_NEVER = "never"


def tier_rules(settings: Sequence[TierRuleSettings], attributes: AttributeTable) -> list[TierRule]:
    """The rules of `tiers.rules`. Raises `ConfigError` for a condition that cannot be searched for."""
    return [TierRule(_rule(section, attributes), section.to) for section in settings]


def _rule(settings: TierRuleSettings, attributes: AttributeTable) -> RetentionRule:
    try:
        query = studies_where(settings.where, DEFAULT_PARTITION, attributes)
    except NotUnderstood as error:
        raise ConfigError("tiers.rules", None, f"rule {settings.name}: {error}") from error
    period = None if settings.after == _NEVER else period_of(settings.after)
    return RetentionRule(settings.name, query, period, Since(settings.since), frozenset(settings.sources))
