"""What is not here whole, since it is being fetched or that broke off.

    state/fetches/STUDY_INSTANCE_UID.json: until when somebody fetches it, and how many instances there are.

The record is written before another archive is asked to send, and is removed when the study is here whole: so no
process, after whatever crash, takes the part that came for the study.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from gantry.common.errors import NotFound
from gantry.common.ports.blobs import BlobStore, read_whole

_ROOT = "state/fetches/"


@dataclass(frozen=True, slots=True)
class FetchRecord:
    """`until`, in microseconds since the epoch, somebody is at it; `instances` is how many there are, as far as it is
    known, and `archive` who says so."""

    until: int
    instances: int
    archive: str


class FetchRecords:
    """The records of one archive. All raise `DependencyUnavailable`."""

    def __init__(self, objects: BlobStore) -> None:
        self._objects = objects

    async def read(self, study: str) -> FetchRecord | None:
        """The record of a study; None where there is none, or it cannot be read as one."""
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
        """It is here whole."""
        await self._objects.delete(_key(study))


def parsed(content: bytes) -> FetchRecord:
    """A record from its bytes. One that is damaged still says that the study is not known to be whole."""
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
