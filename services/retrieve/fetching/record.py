"""Studies that are incomplete here, because a fetch is under way or was broken off.

    state/fetches/STUDY_INSTANCE_UID.json: until when a process fetches it, and how many instances there are.

The record is written before another archive is asked to send, and is removed when the study is complete here: so no
process, after any crash, takes a part of the study for all of it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from gantry.common.errors import NotFound
from gantry.common.ports.blobs import BlobStore, read_whole

_ROOT = "state/fetches/"


@dataclass(frozen=True, slots=True)
class FetchRecord:
    """A process fetches it `until` then, in microseconds since the epoch; `instances` is how many there are, as far as
    known, according to `archive`."""

    until: int
    instances: int
    archive: str


class FetchRecords:
    """The records of one archive. All raise `DependencyUnavailable`."""

    def __init__(self, objects: BlobStore) -> None:
        self._objects = objects

    async def read(self, study: str) -> FetchRecord | None:
        """The record of a study; None if there is none, or it cannot be parsed."""
        try:
            content = await read_whole(self._objects, _key(study))
        except NotFound:
            return None
        return parsed(content)

    async def write(self, study: str, record: FetchRecord) -> None:
        """Make the record of a study durable."""
        values = {"until": record.until, "instances": record.instances, "archive": record.archive}
        await self._objects.put(_key(study), [json.dumps(values).encode()])

    async def remove(self, study: str) -> None:
        """Remove the record: the study is complete here."""
        await self._objects.delete(_key(study))


def parsed(content: bytes) -> FetchRecord:
    """A record from its bytes. Even a damaged one means that the study may be incomplete."""
    try:
        values = json.loads(content)
        until, instances, archive = values["until"], values["instances"], values["archive"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return FetchRecord(0, 0, "")
    if type(until) is not int or type(instances) is not int or type(archive) is not str:
        return FetchRecord(0, 0, "")
    return FetchRecord(until, instances, archive)


def _key(study: str) -> str:
    return f"{_ROOT}{study}.json"
