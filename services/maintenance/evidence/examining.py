"""Compares statements with the content of the bucket: auditors do this with one command and a public key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from joserfc.jwk import OKPKey

from gantry.common.errors import Corrupt, NotFound
from gantry.common.events import AUDIT
from gantry.common.evidence import SignedStatement, StatedSegment, read, stated
from gantry.common.ids import receipt_in_key
from gantry.common.ports.blobs import BlobStore, read_whole
from gantry.common.runtime.sealed_events import keys
from gantry.services.maintenance.evidence.witness import ROOTS, statement_keys

_NAMED = 1000
"""Most findings that are named; all of them are counted."""


@dataclass(slots=True)
class Examined:
    """What was examined, and what is wrong. `head` is the digest of the newest statement; `removed` counts segments of
    audit records that a rule of the bucket may have removed, `waiting` segments that are younger than the newest
    statement. `findings` are pairs of a key and what is wrong with it, the first thousand of `wrong`."""

    statements: int = 0
    segments: int = 0
    bytes: int = 0
    removed: int = 0
    waiting: int = 0
    head: str = ""
    first_at: int = 0
    last_at: int = 0
    wrong: int = 0
    findings: list[tuple[str, str]] = field(default_factory=list)

    def find(self, key: str, words: str) -> None:
        """Note what is wrong."""
        self.wrong += 1
        if len(self.findings) < _NAMED:
            self.findings.append((key, words))


class Examination:
    """Examines the statements of one partition. `keys` are the public keys whose signatures are valid; `noted` are
    digests that were noted earlier, each of which must still exist; segments of audit records from before
    `removed_before` (milliseconds since the epoch) may be gone."""

    def __init__(
        self,
        objects: BlobStore,
        partition: str,
        public: Sequence[OKPKey],
        *,
        noted: Sequence[str] = (),
        removed_before: int = 0,
    ) -> None:
        self._objects = objects
        self._partition = partition
        self._public = public
        self._noted = noted
        self._removed_before = removed_before

    async def run(self, now_ms: int, progress: Callable[[Examined], None] = lambda _: None) -> Examined:
        """Examine everything. Raises `DependencyUnavailable`."""
        done = Examined()
        digests: set[str] = set()
        named: set[str] = set()
        until = 0
        async for key in statement_keys(self._objects, self._partition):
            signed = await self._read(key, done)
            if signed is None:
                continue
            self._follow(key, signed, digests, done)
            digests.add(signed.digest)
            until = max(until, signed.statement.until_ms)
            for segment in signed.statement.segments:
                if segment.key not in named:
                    await self._compare(segment, done)
                    named.add(segment.key)
            progress(done)
        for noted in self._noted:
            if noted not in digests:
                done.find(noted, "no statement has this digest: the newest ones were removed, or changed")
        for root in ROOTS:
            async for key, receipt in keys(self._objects, root, self._partition, 0, now_ms):
                if key in named:
                    continue
                if receipt.milliseconds > until:
                    done.waiting += 1
                else:
                    done.find(key, "it is older than the newest statement, but in no statement: it was added later")
        return done

    async def _read(self, key: str, done: Examined) -> SignedStatement | None:
        try:
            signed = read(await read_whole(self._objects, key), self._public)
        except Corrupt as error:
            done.find(key, f"the statement is not valid: {error}")
            return None
        except NotFound:
            done.find(key, "the statement was removed while it was read")
            return None
        done.statements += 1
        done.head, done.last_at = signed.digest, signed.statement.at
        done.first_at = done.first_at or signed.statement.at
        return signed

    def _follow(self, key: str, signed: SignedStatement, digests: set[str], done: Examined) -> None:
        previous, number = signed.statement.previous, signed.statement.number
        if (previous == "") != (number == 1) or (previous and previous not in digests):
            done.find(key, f"the previous statement, number {number - 1}, is missing")

    async def _compare(self, segment: StatedSegment, done: Examined) -> None:
        done.segments += 1
        try:
            content = await read_whole(self._objects, segment.key)
        except NotFound:
            if self._may_be_gone(segment.key):
                done.removed += 1
            else:
                done.find(segment.key, "it was removed")
            return
        done.bytes += len(content)
        if await asyncio.to_thread(stated, segment.key, content) != segment:
            done.find(segment.key, "it was changed")

    def _may_be_gone(self, key: str) -> bool:
        receipt = receipt_in_key(key)
        return key.startswith(f"{AUDIT}/") and receipt is not None and receipt.milliseconds < self._removed_before
