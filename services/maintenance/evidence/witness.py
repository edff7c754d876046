"""The witness: every hour it makes a signed statement about the segments sealed since the last one.

    evidence/PARTITION/TTTTTTT/RECEIPT.json    a statement, named by when it was made

It reads only segments, and writes only statements; an interrupted one is made again from the same segments. One of
several processes makes them (`passes`). If two do nevertheless, both are right: each names the statement before it, and
the next one continues from the newest.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from joserfc.jwk import OKPKey

from gantry.common.clock import Clock
from gantry.common.errors import ConfigError, NotFound
from gantry.common.events import AUDIT, FACTS
from gantry.common.evidence import ROOT, SignedStatement, StatedSegment, Statement, keys_in, read, sign, stated
from gantry.common.ids import Receipt
from gantry.common.ports.blobs import BlobStore, read_whole
from gantry.common.runtime.sealed_events import keys
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.services.maintenance.passes import Pass, Passes

ROOTS = (FACTS, AUDIT)
SETTLED_MS = 60_000
"""A segment gets its name before it is durable: younger ones than this are not stated yet."""
_LATE_MS = 3_600_000
"""How much older than the newest statement a segment may be that became durable after it."""
_MOST = 10_000
"""Most segments of one statement; further ones go into the next statement, at once."""
logger = get_logger("witness")


@dataclass(slots=True)
class Witnessed(Pass):
    """A run: statements made, and the segments in them."""

    statements: int = 0
    segments: int = 0


def signing_keys(path: Path) -> list[OKPKey]:
    """The keys of a PEM file: first the private key that signs, then those that signed before. Raises `ConfigError`."""
    try:
        keys = keys_in(path.read_text(), str(path))
    except (OSError, ValueError) as error:
        raise ConfigError(str(path), None, f"no signing key can be read there: {error}") from error
    if not keys[0].is_private:
        raise ConfigError(str(path), None, "its first key is a public one; statements are signed with the private one")
    return keys


class Witness:
    """Makes statements of one partition."""

    def __init__(
        self, objects: BlobStore, clock: Clock, metrics: Metrics, partition: str, keys: Sequence[OKPKey]
    ) -> None:
        """The first of `keys` signs, the others may have signed before."""
        self._objects = objects
        self._clock = clock
        self._metrics = metrics
        self._partition = partition
        self._keys = keys
        self.passes = Passes(objects, clock, "evidence", Witnessed)

    async def run(self, every: float) -> None:
        """Run for ever: statements are made `every` seconds after the last ones."""
        await self.passes.run(every, self.state)

    async def state(self, run: Witnessed | None = None) -> list[SignedStatement]:
        """Make statements of all segments that are older than `SETTLED_MS` and in no statement yet. Raises
        `DependencyUnavailable`, and `Corrupt` if the newest statement is not ours: then there are no statements until
        an operator has examined it."""
        run = self.passes.begun(run)
        made = []
        while statement := await self._next():
            made.append(statement)
            run.statements += 1
            run.segments += len(statement.statement.segments)
            await self.passes.save_now_and_then(run)
        await self.passes.end(run)
        return made

    async def _next(self) -> SignedStatement | None:
        now = self._clock.now_us()
        earlier = await self._newest()
        last = earlier[-1] if earlier else None
        since = max(0, last.statement.until_ms - _LATE_MS) if last is not None else 0
        known = {segment.key for signed in earlier for segment in signed.statement.segments}
        settled = now // 1000 - SETTLED_MS
        candidates = [
            (receipt.milliseconds, key)
            for root in ROOTS
            async for key, receipt in keys(self._objects, root, self._partition, since, now // 1000)
            if receipt.milliseconds <= settled and key not in known
        ]
        candidates.sort()
        segments = [segment async for segment in self._digests([key for _, key in candidates[:_MOST]])]
        if not segments:
            return None
        # The keys of statements keep their order, whatever the clock does.
        at = max(now, last.statement.at + 1000) if last is not None else now
        statement = Statement(
            number=last.statement.number + 1 if last is not None else 1,
            at=at,
            until_ms=candidates[_MOST - 1][0] if len(candidates) > _MOST else settled,
            previous=last.digest if last is not None else "",
            segments=tuple(segments),
        )
        content, signed = sign(statement, self._keys[0])
        await self._objects.put(statement_key(self._partition, Receipt.at(at)), [content])
        self._metrics.evidence_statements.inc()
        self._metrics.evidence_segments.inc(len(segments))
        # Log files thus retain the digest, which suffices to detect any change before it.
        logger.info(
            "stated", number=statement.number, segments=len(segments), root=statement.root, digest=signed.digest
        )
        return signed

    async def _digests(self, names: Sequence[str]) -> AsyncIterator[StatedSegment]:
        for key in names:
            try:
                content = await read_whole(self._objects, key)
            except NotFound:
                continue  # a rule of the bucket removed it first
            yield await asyncio.to_thread(stated, key, content)

    async def _newest(self) -> list[SignedStatement]:
        """The newest statement, last, and those before it that may name segments that became durable late."""
        statements: list[SignedStatement] = []
        for key in reversed([key async for key in statement_keys(self._objects, self._partition)]):
            signed = read(await read_whole(self._objects, key), self._keys)
            statements.insert(0, signed)
            if signed.statement.until_ms < statements[-1].statement.until_ms - _LATE_MS:
                break
        return statements


def statement_key(partition: str, receipt: Receipt) -> str:
    """The key of a statement made at the time of the receipt."""
    return f"{ROOT}/{partition}/{receipt.id[:7]}/{receipt.id}.json"


async def statement_keys(objects: BlobStore, partition: str) -> AsyncIterator[str]:
    """The keys of all statements, the oldest first."""
    async for stat in objects.list(f"{ROOT}/{partition}/"):
        yield stat.key
