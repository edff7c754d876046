"""The newest finished count, in the bucket, and listings of later objects.

    state/quota/RECEIPT.json: a count, named by when it began; the newest counts.

In `state/usage/` a running pass hides the one before it, which is needed until the new one has ended.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from gantry.common.errors import NotFound
from gantry.common.ids import FOLDER_MS, Receipt, is_reference_key, receipt_in_key
from gantry.common.ports.blobs import BlobStore, read_whole
from gantry.common.runtime.quota.sums import StoredCount
from gantry.common.runtime.sealed_events import covering

_ROOT = "state/quota/"


async def newest_count(objects: BlobStore) -> StoredCount | None:
    """The newest count; None before the first has ended. Raises `DependencyUnavailable`."""
    keys = [stat.key async for stat in objects.list(_ROOT)]
    for key in reversed(keys):
        try:
            read = json.loads(await read_whole(objects, key))
            return StoredCount(int(read["begun_at"]), int(read["finished_at"]), int(read["settled"]))
        except (NotFound, ValueError, TypeError, KeyError):
            continue  # removed meanwhile, or written by a release with another format
    return None


async def write_count(objects: BlobStore, count: StoredCount) -> None:
    """Make a finished count durable, and remove older ones. Raises `DependencyUnavailable`."""
    key = f"{_ROOT}{Receipt.at(count.begun_at).id}.json"
    await objects.put(key, [json.dumps(asdict(count)).encode()])
    async for stat in objects.list(_ROOT):
        if stat.key < key:
            await objects.delete(stat.key)


async def bytes_by_folder(objects: BlobStore, partition: str, first: int, last: int) -> dict[int, int]:
    """Bytes in the folders from `first` to `last`, without references to foreign objects. Raises
    `DependencyUnavailable`."""
    sizes: dict[int, int] = {}
    for prefix in covering(first, last):
        async for stat in objects.list(f"objects/{partition}/{prefix}"):
            receipt = receipt_in_key(stat.key)
            if receipt is not None and not is_reference_key(stat.key):
                folder = receipt.milliseconds // FOLDER_MS
                sizes[folder] = sizes.get(folder, 0) + stat.size
    return sizes
