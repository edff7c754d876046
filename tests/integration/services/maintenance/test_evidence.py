"""Statements of sealed segments in a real store, and what an auditor finds where somebody changed something."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from joserfc.jwk import OKPKey

from gantry.common.adapters.files import open_file_store
from gantry.common.clock import ManualClock
from gantry.common.errors import ConfigError, Corrupt
from gantry.common.events import AUDIT, FACTS
from gantry.common.evidence import StatedSegment, Statement, sign
from gantry.common.ids import Receipt
from gantry.common.ports.blobs import BlobStore, read_whole
from gantry.common.telemetry.metrics import Metrics
from gantry.services.maintenance.evidence import witness as room
from gantry.services.maintenance.evidence.examining import Examination, Examined
from gantry.services.maintenance.evidence.witness import Witness, signing_keys, statement_key, statement_keys
from gantry.services.maintenance.sealing import segment_key

KEY = OKPKey.generate_key("Ed25519")
HOUR_US = 3_600_000_000


class Site:
    def __init__(self, objects: BlobStore) -> None:
        self.objects = objects
        self.clock = ManualClock(1_790_000_000_000_000)
        self.metrics = Metrics()
        self.witness = Witness(objects, self.clock, self.metrics, "default", [KEY])

    async def seal(self, count: int = 1, root: str = FACTS, ago_us: int = 0) -> list[str]:
        """Segments of made-up bytes, a second from each other."""
        keys = []
        for n in range(count):
            keys.append(segment_key("default", Receipt.at(self.clock.now_us() - ago_us), root))
            await self.objects.put(keys[-1], [f"{root} {n} {keys[-1]}".encode()])
            self.clock.advance(1)
        return keys

    async def state(self) -> list[str]:
        """Statements, an hour later; the segments that they name."""
        self.clock.advance(3600)
        return [segment.key for signed in await self.witness.state() for segment in signed.statement.segments]

    async def examine(self, noted: tuple[str, ...] = (), removed_before: int = 0) -> Examined:
        examination = Examination(self.objects, "default", [KEY], noted=noted, removed_before=removed_before)
        return await examination.run(self.clock.now_us() // 1000)

    async def statements(self) -> list[str]:
        return [key async for key in statement_keys(self.objects, "default")]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    objects = await open_file_store(tmp_path / "objects", low_water=0)
    yield Site(objects)
    await objects.close()


async def test_every_segment_is_in_one_statement(site: Site) -> None:
    first = [*await site.seal(3), *await site.seal(2, AUDIT)]
    assert sorted(await site.state()) == sorted(first)
    assert await site.state() == []  # nothing new: no statement
    second = await site.seal(2)
    # Named before the last statement, and durable after it.
    late = await site.seal(1, ago_us=HOUR_US // 2)
    assert sorted(await site.state()) == sorted(second + late)
    done = await site.examine()
    assert (done.statements, done.segments, done.wrong, done.waiting) == (2, 8, 0, 0)
    assert site.metrics.registry.get_sample_value("gantry_evidence_statements_total") == 2
    assert site.metrics.registry.get_sample_value("gantry_evidence_segments_total") == 8


async def test_what_is_younger_than_the_newest_statement_waits(site: Site) -> None:
    await site.seal(2)
    await site.state()
    await site.seal(3)
    assert await site.witness.state() == []  # they may not be durable yet
    done = await site.examine()
    assert (done.wrong, done.waiting) == (0, 3)


async def test_many_segments_are_several_statements_that_follow_each_other(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_MOST", 4)
    keys = await site.seal(11)
    assert await site.state() == keys
    assert len(await site.statements()) == 3
    assert (await site.examine()).wrong == 0


async def test_changed_removed_and_added_segments_are_found(site: Site) -> None:
    changed, longer, removed, _ = await site.seal(4)
    await site.state()
    whole = await read_whole(site.objects, changed)
    await site.objects.put(changed, [whole[:-1] + bytes([whole[-1] ^ 1])])
    await site.objects.put(longer, [await read_whole(site.objects, longer) + b"x"])
    await site.objects.delete(removed)
    (added,) = await site.seal(1, ago_us=2 * HOUR_US)
    findings = dict((await site.examine()).findings)
    assert findings == {
        changed: "it was changed",
        longer: "it was changed",
        removed: "it was removed",
        added: "it is older than the newest statement, but in no statement: it was added later",
    }


async def test_only_audit_records_of_before_a_day_may_be_gone(site: Site) -> None:
    fact, old, young = *await site.seal(1), *await site.seal(1, AUDIT), *await site.seal(1, AUDIT, ago_us=-HOUR_US)
    site.clock.advance(7200)
    await site.state()
    for key in (fact, old, young):
        await site.objects.delete(key)
    before = (site.clock.now_us() - 5 * HOUR_US // 2) // 1000
    done = await site.examine(removed_before=before)
    assert (done.removed, sorted(dict(done.findings))) == (1, sorted([fact, young]))


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_statement_that_was_removed_is_missed(site: Site, place: int) -> None:
    for _ in range(3):
        await site.seal(2)
        await site.state()
    head = (await site.examine()).head
    names = await site.statements()
    await site.objects.delete(names[place])
    findings = dict((await site.examine(noted=(head,))).findings)
    # The one behind it misses it; of the last one it takes a digest that somebody has noted.
    if place < 2:
        assert findings[names[place + 1]] == f"the previous statement, number {place + 1}, is missing"
    else:
        assert findings[head].startswith("no statement has this digest")


async def test_statement_that_was_changed_or_forged_does_not_count(site: Site) -> None:
    keys = await site.seal(2)
    await site.state()
    (name,) = await site.statements()
    whole = json.loads(await read_whole(site.objects, name))
    forged, _ = sign(Statement(1, 1, 2, "", (StatedSegment(keys[0], 1, "00"),)), OKPKey.generate_key("Ed25519"))
    for content in (json.dumps(whole | {"segments": whole["segments"][:1]}).encode(), forged, b"{}"):
        await site.objects.put(name, [content])
        done = await site.examine()
        assert (done.statements, done.findings[0][0]) == (0, name)
        assert "is not valid" in done.findings[0][1]
        # And nothing is stated behind it, until somebody has looked.
        await site.seal(1)
        with pytest.raises(Corrupt):
            await site.state()


async def test_two_who_state_at_once_are_both_right(site: Site) -> None:
    await site.seal(2)
    site.clock.advance(3600)
    other = Witness(site.objects, site.clock, Metrics(), "default", [KEY])
    first, second = await site.witness._next(), None
    assert first is not None
    name = (await site.statements())[0]
    content = await read_whole(site.objects, name)
    await site.objects.delete(name)
    second = await other._next()
    assert second is not None
    await site.objects.put(statement_key("default", Receipt.at(site.clock.now_us() + 1000)), [content])
    await site.seal(2)
    await site.state()
    assert len(await site.statements()) == 3
    assert (await site.examine()).wrong == 0


async def test_new_key_goes_on_where_the_old_one_was(site: Site, tmp_path: Path) -> None:
    await site.seal(2)
    await site.state()
    new = OKPKey.generate_key("Ed25519")
    file = tmp_path / "evidence.pem"
    file.write_bytes(new.as_pem(private=True) + KEY.as_pem(private=False))
    site.witness = Witness(site.objects, site.clock, site.metrics, "default", signing_keys(file))
    await site.seal(2)
    await site.state()
    done = await Examination(site.objects, "default", signing_keys(file)).run(site.clock.now_us() // 1000)
    assert (done.statements, done.wrong) == (2, 0)
    done = await site.examine()  # by the old key alone the second does not count
    assert (done.statements, done.wrong, done.waiting) == (1, 1, 2)


def test_a_key_that_cannot_sign_is_refused_in_words(tmp_path: Path) -> None:
    file = tmp_path / "evidence.pem"
    with pytest.raises(ConfigError, match="no signing key can be read there"):
        signing_keys(file)
    file.write_bytes(KEY.as_pem(private=False))
    with pytest.raises(ConfigError, match="its first key is a public one"):
        signing_keys(file)
