"""Destroys an archive: its keys first, then its objects, its log and its index.

The keys go first, since without them no copy of the bucket can ever be read. From the beginning, a mark in the object
store shows that the archive is being destroyed: no process starts on it any more, and a repeated command continues
where the last one was interrupted. The mark is removed last.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from gantry.common.clock import Clock
from gantry.common.encryption.data_keys import ROOT as DATA_KEYS
from gantry.common.errors import DependencyUnavailable
from gantry.common.lifecycle import HOT
from gantry.common.ports.blobs import BlobStore, Part
from gantry.common.runtime.failpoints import FailPoint, reach
from gantry.services.requester import Requester

AT_ONCE = 32
"""Objects that are removed at the same time."""
_PASSES = 5
Removal = Callable[[], Awaitable[int]]
Told = Callable[[str, int], None]
"""Called with the name of a store and the number of its removed objects."""


@dataclass(slots=True)
class Destroyed:
    """What was removed since the command was first given."""

    begun_at: str = ""
    ended_at: str = ""
    by: str = ""
    reason: str = ""
    objects: dict[str, int] = field(default_factory=dict)
    data_keys: int = 0
    key_file: str = ""
    log: int = 0
    index: int = 0


class Destruction:
    """The destruction of one archive. `stores` are its object stores, as the objects are stored there."""

    def __init__(
        self,
        stores: Mapping[str, BlobStore],
        remove_log: Removal,
        remove_index: Removal,
        key_file: Path | None,
        spool: Path,
        clock: Clock,
        report: Told = lambda *_: None,
    ) -> None:
        """`spool` is the folder of audit records that never reached the log; they name patients."""
        self._stores = stores
        self._remove_log = remove_log
        self._remove_index = remove_index
        self._key_file = key_file
        self._spool = spool
        self._clock = clock
        self._report = report

    async def run(self, requester: Requester, mark: str) -> Destroyed:
        """Destroy everything, or continue to; `mark` is the key of the mark. Raises `DependencyUnavailable`."""
        done = await self._begin(requester, mark)
        for name, store in self._stores.items():
            done.data_keys += await self._empty(name, store, DATA_KEYS)
        if self._key_file is not None:
            done.key_file = str(self._key_file)
            await asyncio.to_thread(_overwrite, self._key_file)
        await reach(FailPoint.AFTER_KEYS)
        for name, store in self._stores.items():
            done.objects[name] = await self._empty(name, store, "", but=mark if name == HOT else "")
            await store.sweep_unfinished(0.0)
        done.log = await self._remove_log()
        done.index = await self._remove_index()
        await asyncio.to_thread(shutil.rmtree, self._spool, ignore_errors=True)
        await self._stores[HOT].delete(mark)
        done.ended_at = self._now()
        return done

    async def _begin(self, requester: Requester, mark: str) -> Destroyed:
        store = self._stores[HOT]
        if not [stat async for stat in store.list(mark)]:
            fields = {"at": self._now(), "by": requester.by, "reason": requester.reason}
            await store.put(mark, [json.dumps(fields).encode()])
        (text,) = await store.read([Part(mark, 0, 1 << 16)])
        fields = json.loads(text)
        return Destroyed(begun_at=fields["at"], by=fields["by"], reason=fields["reason"])

    async def _empty(self, name: str, store: BlobStore, prefix: str, but: str = "") -> int:
        """Remove the objects below a prefix, until a listing shows none. Raises `DependencyUnavailable` if some cannot
        be removed."""
        gone = 0
        for _ in range(_PASSES):
            before = gone
            async with aclosing(_batches(store, prefix, but)) as batches:
                async for batch in batches:
                    async with asyncio.TaskGroup() as group:
                        for key in batch:
                            group.create_task(store.delete(key))
                    gone += len(batch)
                    self._report(name, gone)
            if gone == before:
                return gone
        raise DependencyUnavailable("object store", f"some objects of {name} are listed after they were removed")

    def _now(self) -> str:
        return datetime.fromtimestamp(self._clock.now_us() / 1e6, UTC).isoformat(timespec="seconds")


async def _batches(store: BlobStore, prefix: str, but: str) -> AsyncGenerator[list[str], None]:
    batch: list[str] = []
    async for stat in store.list(prefix):
        if stat.key != but:
            batch.append(stat.key)
        if len(batch) == AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _overwrite(file: Path) -> None:
    """Overwrite a file of keys and remove it; succeeds if it is missing. We cannot remove earlier content that a disk
    or file system retains."""
    try:
        with file.open("r+b") as opened:
            opened.write(secrets.token_bytes(os.fstat(opened.fileno()).st_size))
            opened.flush()
            os.fsync(opened.fileno())
    except FileNotFoundError:
        return
    file.unlink()
