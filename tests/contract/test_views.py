"""Views of an index (`gantry.common.runtime.viewed_index`) on every backend: for a view, an archive in which some
rejections never happened. The oracle is another index, which was told of everything but these."""

from __future__ import annotations

import random
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from gantry.common.access.views import showing
from gantry.common.adapters.sqlite import open_sqlite_index
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query, Single
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.lifecycle import DeletionState
from gantry.common.ports.index import Decision, InstanceEntry, SearchIndex
from gantry.common.runtime.viewed_index import ViewedIndex
from tests.support.views import PARTITION, QUALITY, SAFETY, VIEWS, decided, made, rejected

LEVELS = (Level.PATIENT, Level.STUDY, Level.SERIES, Level.IMAGE)


async def everything(index: SearchIndex | ViewedIndex, uids: Collection[str]) -> dict[str, Any]:
    """All that can be seen of an index."""
    seen: dict[str, Any] = {"count": await index.count(PARTITION)}
    for level in LEVELS:
        query = Query(PARTITION, level)
        documents = [document.attributes async for page in index.find(query) for document in page]
        seen[level.name] = sorted(repr(sorted(attributes.items())) for attributes in documents)
        assert await index.total(query) == len(documents)
        seen[f"{level.name} located"] = sorted(
            [location.object_key async for page in index.locate(query) for location in page]
        )
    one_day = Query(PARTITION, Level.STUDY, {TAGS["StudyDate"]: Single(("20240112",))})
    seen["day"] = [document.attributes async for page in index.find(one_day) for document in page]
    resolved = await index.resolve(PARTITION, list(uids))
    seen["resolved"] = {uid: [at.object_key for at in locations] for uid, locations in resolved.items()}
    return seen


@pytest.mark.parametrize("seed", range(3))
async def test_a_view_is_an_archive_in_which_its_rejections_never_happened(
    index: SearchIndex, tmp_path: Path, seed: int
) -> None:
    viewed = ViewedIndex(index, VIEWS)
    await viewed.begin(PARTITION)
    chance = random.Random(seed)
    entries = [made(number) for number in range(1, 31)]
    steps: list[InstanceEntry | Decision] = [*entries]
    for number in range(12):
        entry, id_ = chance.choice(entries), f"{number:032x}"
        steps.append(decided(entry, rejected(chance.choice((QUALITY, SAFETY, "")), id_)))
        if chance.random() < 0.3:
            steps.append(decided(entry, DeletionState(withdrawn=frozenset((id_,)))))
        if chance.random() < 0.2:
            steps.append(decided(entry, DeletionState(collected=True)))
    chance.shuffle(steps)
    for step in steps:
        await (viewed.apply([step]) if isinstance(step, InstanceEntry) else viewed.decide([step]))
    uids = [instance.sop_instance_uid for instance in entries]
    for view, codes in {"": frozenset[str](), **VIEWS}.items():
        oracle = await open_sqlite_index(tmp_path / f"oracle{seed}{view}.db")
        await oracle.apply(entries)
        for step in steps:
            if isinstance(step, Decision) and not {deletion.code for deletion in step.deletion_state.deletions} & codes:
                await oracle.decide([step])
        with showing(view):
            assert await everything(viewed, uids) == await everything(oracle, uids), view
        await oracle.close()
