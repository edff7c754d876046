"""The quota that the settings name."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gantry.common.clock import ManualClock
from gantry.common.config.settings import Settings
from gantry.common.telemetry.metrics import Metrics
from gantry.services.process.quotas import quota_of


def quota(**settings: Any) -> Any:
    return quota_of(Settings(**settings), None, ManualClock(), Metrics())  # type: ignore[arg-type]


def test_there_is_none_unless_the_settings_name_one() -> None:
    assert quota() is None
    assert quota(storage={"quota": 0}) is None


def test_it_is_the_one_of_the_settings() -> None:
    stand = quota(storage={"quota": 2_000_000_000_000}, upkeep={"usage_every": 60}).stand()
    assert (stand.bytes, stand.used, stand.counted_at, stand.listed) == (2_000_000_000_000, 0, 0, False)


def test_one_without_counts_or_below_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"storage\.quota needs upkeep\.usage_every"):
        Settings(storage={"quota": 1}, upkeep={"usage_every": 0})  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="quota"):
        Settings(storage={"quota": -1})  # type: ignore[arg-type]
