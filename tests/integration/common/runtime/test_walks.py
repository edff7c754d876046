"""The walk of a study as an index tells of it: now, at an earlier time, and of what is deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gantry.common.adapters.sqlite import open_sqlite_index
from gantry.common.lifecycle import held_patient
from gantry.common.ports.index import SearchIndex
from gantry.common.runtime.walks import corrected_attributes, patients_of, study_at
from gantry.services.lifecycle.history import history_of
from tests.contract.test_corrections import (
    ENTRIES,
    FIRST,
    NAME,
    identity,
    key,
    made,
    merged,
    name,
    of_patient,
    of_study,
    withdrawn,
)

OWN, UID = FIRST.attributes, FIRST.study_instance_uid


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[SearchIndex]:
    opened = await open_sqlite_index(tmp_path / "index.db")
    await opened.apply(ENTRIES)
    yield opened
    await opened.close()


async def test_a_history_knows_the_walk_of_its_time(index: SearchIndex) -> None:
    await index.correct([
        of_study(UID, made("a", name("POE^JANE"))),
        of_patient(key("P1"), merged("m", "P2", name("ROE^ROSE"))),
        of_patient(key("P1"), withdrawn("m")),
    ])  # fmt: skip
    at = 50  # made by then, and not withdrawn
    study = await study_at(index, "default", UID, at)
    assert study is not None
    assert history_of(UID, study, at).shown["00100010"]["Value"] == [{"Alphabetic": "ROE^ROSE"}]
    study = await study_at(index, "default", UID)
    assert study is not None
    assert history_of(UID, study).shown["00100010"]["Value"] == [{"Alphabetic": "POE^JANE"}]
    assert await study_at(index, "default", "1.9") is None


async def test_what_is_deleted_is_what_it_was_shown_as(index: SearchIndex) -> None:
    await index.correct([of_study(UID, made("a", name("POE^JANE")))])
    assert (await corrected_attributes(index, "default", UID, OWN))[NAME] == [{"Alphabetic": "POE^JANE"}]


async def test_holds_may_stand_under_every_patient_and_id_on_the_walk(index: SearchIndex) -> None:
    await index.correct([
        of_study(UID, made("a", identity("P3", "HOSP"))),
        of_patient(key("P3", "HOSP"), made("m", identity("P4", "HOSP"), into=key("P4", "HOSP"))),
        of_patient(key("P4", "HOSP"), made("n", identity("P5", "HOSP"), into=key("P5", "HOSP"))),
    ])  # fmt: skip
    keys = await patients_of(index, "default", UID, OWN)
    for patient in ("P1", "P3", "P4", "P5"):
        assert held_patient(patient) in keys
    for patient in ("P3", "P4", "P5"):
        assert held_patient(patient, "HOSP") in keys
    assert held_patient("P2") not in keys
