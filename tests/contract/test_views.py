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
from gantry.common.lifecycle import Fate
from gantry.common.ports.index import Decision, InstanceEntry, SearchIndex
from gantry.common.runtime.viewed_index import ViewedIndex
from tests.support.views import PARTITION, QUALITY, SAFETY, VIEWS, decided, made, rejected

LEVELS = (Level.PATIENT, Level.STUDY, Level.SERIES, Level.IMAGE)


async def everything(index: SearchIndex | ViewedIndex, uids: Collection[str]) -> dict[str, Any]:
    """All that can be seen of an index."""
    seen: dict[str, Any] = {"count": await index.count(PARTITION)}
    for level in LEVELS:
        query = Query(PARTITION, level)
        documents = [one.attributes async for page in index.find(query) for one in page]
        seen[level.name] = sorted(repr(sorted(one.items())) for one in documents)
        assert await index.total(query) == len(documents)
        seen[f"{level.name} located"] = sorted([one.object_key async for page in index.locate(query) for one in page])
    one_day = Query(PARTITION, Level.STUDY, {TAGS["StudyDate"]: Single(("20240112",))})
    seen["day"] = [one.attributes async for page in index.find(one_day) for one in page]
    resolved = await index.resolve(PARTITION, list(uids))
    seen["resolved"] = {uid: [at.object_key for at in found] for uid, found in resolved.items()}
    return seen


@pytest.mark.parametrize("seed", range(3))
async def test_a_view_is_an_archive_in_which_its_rejections_never_happened(
    index: SearchIndex, tmp_path: Path, seed: int
) -> None:
    viewed = ViewedIndex(index, VIEWS)
    await viewed.begin(PARTITION)
    chance = random.Random(seed)
    entries = [made(number) for number in range(1, 31)]
    told: list[InstanceEntry | Decision] = [*entries]
    for number in range(12):
        one, id_ = chance.choice(entries), f"{number:032x}"
        told.append(decided(one, rejected(chance.choice((QUALITY, SAFETY, "")), id_)))
        if chance.random() < 0.3:
            told.append(decided(one, Fate(withdrawn=frozenset((id_,)))))
        if chance.random() < 0.2:
            told.append(decided(one, Fate(collected=True)))
    chance.shuffle(told)
    for what in told:
        await (viewed.apply([what]) if isinstance(what, InstanceEntry) else viewed.decide([what]))
    uids = [one.sop_instance_uid for one in entries]
    for view, codes in {"": frozenset[str](), **VIEWS}.items():
        oracle = await open_sqlite_index(tmp_path / f"oracle{seed}{view}.db")
        await oracle.apply(entries)
        for what in told:
            if isinstance(what, Decision) and not {one.code for one in what.fate.deletions} & codes:
                await oracle.decide([what])
        with showing(view):
            assert await everything(viewed, uids) == await everything(oracle, uids), view
        await oracle.close()
