"""A hospital's day, as it is planned."""

from __future__ import annotations

import pytest

from gantry.cli.day.plan import MIX, day, percentiles


def test_the_same_seed_gives_the_same_day_and_another_one_another() -> None:
    assert day(200, 1) == day(200, 1)
    assert day(200, 1) != day(200, 2)


def test_a_day_has_its_hours_its_mix_and_patients_who_come_again() -> None:
    planned = day(2000, 3)
    assert len(planned) == 2000
    assert [study.at for study in planned] == sorted(study.at for study in planned)
    busy = sum(9 * 3600 <= study.at < 10 * 3600 for study in planned)
    night = sum(3 * 3600 <= study.at < 4 * 3600 for study in planned)
    assert busy > 10 * night > 0
    shares = {modality.name: sum(study.modality is modality for study in planned) / 2000 for modality in MIX}
    assert all(abs(shares[modality.name] - modality.share) < 0.05 for modality in MIX)
    assert len({study.patient for study in planned}) < len(planned)
    assert 0.8 < sum(len(study.looked_at_after) for study in planned) / 2000 < 1.2


def test_hours_bounds_and_looks_are_kept() -> None:
    morning = day(500, 1, hours=(8, 10), looks=0, most_images=5)
    assert morning
    assert all(8 * 3600 <= study.at < 10 * 3600 for study in morning)
    assert {len(study.looked_at_after) for study in morning} == {0}
    assert max(study.images for study in morning) == 5
    assert sum(modality.share for modality in MIX) == pytest.approx(1)


def test_percentiles_are_values_that_were_seen() -> None:
    assert percentiles([3.0, 1.0, 2.0, 4.0], 50, 95, 100) == [3.0, 4.0, 4.0]
    assert percentiles([], 50, 99) == [0.0, 0.0]
