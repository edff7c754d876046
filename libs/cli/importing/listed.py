"""An Inventory (PS3.3 A.88) as the list of expected studies and instances, which are fetched from another source."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from pydicom.datadict import tag_for_keyword

from gantry.cli.files import DicomFile, Skipped, look
from gantry.cli.importing.folders import FolderFiles
from gantry.cli.importing.job import ImportJob
from gantry.cli.importing.model import ATTRIBUTES, ImportSource, Instance, Instances, Study, Withheld
from gantry.common.dicom.encoding.values import text_of, whole_number
from gantry.common.dicom.inventory.reading import InventoryReader
from gantry.common.dicom.inventory.records import InventoriedStudy, InventoryLevel
from gantry.common.dicom.standard.sop_classes import INVENTORY
from gantry.common.dicom.standard.tags import NUMBER_OF_STUDY_RELATED_INSTANCES
from gantry.common.errors import GantryError, NotUnderstood

_CHUNK = 1 << 18
_MOST_PARTS = 100_000
_TAGS = {name: tag for name in ATTRIBUTES if (tag := tag_for_keyword(name)) is not None}
_WANTED = frozenset((*_TAGS.values(), NUMBER_OF_STUDY_RELATED_INSTANCES))
_SCHEMA = """
CREATE TABLE IF NOT EXISTS listed_studies (
    uid TEXT PRIMARY KEY, moment TEXT NOT NULL, attributes TEXT NOT NULL, instances INTEGER);
CREATE TABLE IF NOT EXISTS listed (
    study TEXT NOT NULL, instance TEXT NOT NULL, series TEXT NOT NULL, class TEXT NOT NULL,
    PRIMARY KEY (study, instance)) WITHOUT ROWID;
"""


class InventoryListing:
    """The list of an Inventory file and its parts, which are in the same folder. `under` is the source of the
    instances; None for a comparison."""

    def __init__(self, path: Path, job: ImportJob, under: ImportSource | None) -> None:
        self._path = path
        self._db = job.db
        self._under = under
        self.level = InventoryLevel.INSTANCE
        self.limited = False
        self.doubts: list[str] = []

    async def studies(self) -> AsyncIterator[Study]:
        """See `ImportSource`. Raises `NotUnderstood` if the Inventory is incomplete, or is not an Inventory."""
        if isinstance(self._under, FolderFiles):
            async for _ in self._under.studies():  # records which files exist
                pass
        self._read()
        if self._under is not None and self.level is not InventoryLevel.INSTANCE:
            raise NotUnderstood(f"{self._path}: it lists no instances (its level is {self.level.value})")
        rows = self._db.execute("SELECT uid, attributes, instances FROM listed_studies ORDER BY uid")
        for uid, attributes, instances in rows:
            yield Study(uid, json.loads(attributes), instances)

    async def instances(self, study: str) -> Instances:
        """See `ImportSource`."""
        rows = self._db.execute("SELECT instance, series, class FROM listed WHERE study = ?", (study,))
        return {uid: Instance(series, sop_class) for uid, series, sop_class in rows}

    async def fetch(self, study: str, wanted: Instances, folder: Path) -> AsyncIterator[list[DicomFile | Withheld]]:
        """See `ImportSource`: the instances that the source `under` has."""
        if self._under is None:
            raise GantryError("an inventory lists instances, but does not hold them")
        instances = await self._under.instances(study)
        selection = {uid: instances[uid] for uid in wanted if uid in instances}
        yield [Withheld(uid, "it does not have it") for uid in wanted if uid not in instances]
        async for files in self._under.fetch(study, selection, folder):
            yield files

    async def close(self) -> None:
        """See `ImportSource`."""
        if self._under is not None:
            await self._under.close()

    def lists(self, study: str) -> bool:
        """Whether the Inventory lists a study."""
        return self._db.execute("SELECT 1 FROM listed_studies WHERE uid = ?", (study,)).fetchone() is not None

    @property
    def count(self) -> int:
        """The number of studies that the Inventory lists."""
        [(count,)] = self._db.execute("SELECT count(*) FROM listed_studies")
        return int(count)

    # ---- reading

    def _read(self) -> None:
        self._db.executescript(_SCHEMA)
        self._db.execute("BEGIN")
        try:
            self._db.execute("DELETE FROM listed_studies")
            self._db.execute("DELETE FROM listed")
            self._read_all()
            # PS3.3 C.38.1: a study may have several records, each for a part of it.
            self._db.execute(
                "UPDATE listed_studies SET instances = (SELECT count(*) FROM listed WHERE study = uid)"
                " WHERE uid IN (SELECT study FROM listed)"
            )
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise

    def _read_all(self) -> None:
        root = _inventory(self._path)
        reader = self._read_one(root)
        self.level, self.limited = reader.level, reader.limited
        seen, left = {root.sop_instance_uid}, list(reader.parts)
        beside = _beside(self._path) if left else {}
        while left:
            uid = left.pop()
            if uid in seen:
                continue
            seen.add(uid)
            if uid not in beside or len(seen) > _MOST_PARTS:
                raise NotUnderstood(f"{self._path}: its part {uid} is not in the same folder")
            part = self._read_one(beside[uid])
            if part.level is not self.level:
                raise NotUnderstood(f"{beside[uid].path}: its level is {part.level.value}, not that of the whole")
            left += part.parts

    def _read_one(self, file: DicomFile) -> InventoryReader:
        reader = InventoryReader(_chunks(file), file.transfer_syntax_uid, _WANTED)
        try:
            for study in reader.studies():
                self._note(study)
        except NotUnderstood as error:
            raise NotUnderstood(f"{file.path}: {error}") from error
        except OSError as error:
            raise NotUnderstood(f"{file.path}: {error.strerror or error}") from error
        if reader.completion != "COMPLETE":
            self.doubts.append(f"{file.path}: its Inventory Completion Status is {reader.completion or 'not given'}")
        return reader

    def _note(self, study: InventoriedStudy) -> None:
        values = study.attributes
        texts = {name: "\\".join(map(text_of, values[tag])) for name, tag in _TAGS.items() if tag in values}
        count = text_of(next(iter(values.get(NUMBER_OF_STUDY_RELATED_INSTANCES, ())), ""))
        self._db.execute(
            "INSERT INTO listed_studies VALUES (?, ?, ?, ?) ON CONFLICT (uid) DO UPDATE SET moment = excluded.moment,"
            " attributes = excluded.attributes, instances = excluded.instances WHERE excluded.moment >= moment",
            (study.uid, study.moment, json.dumps(texts), whole_number(count)),
        )
        self._db.executemany(
            "INSERT OR REPLACE INTO listed VALUES (?, ?, ?, ?)",
            [
                (study.uid, instance.sop_instance_uid, series.uid, instance.sop_class_uid)
                for series in study.series
                for instance in series.instances
            ],
        )


def _inventory(path: Path) -> DicomFile:
    file = look(path)
    if isinstance(file, Skipped):
        raise NotUnderstood(f"{path}: {file.reason}")
    if file.sop_class_uid != INVENTORY:
        raise NotUnderstood(f"{path}: it is not an Inventory; its SOP class is {file.sop_class_uid}")
    return file


def _beside(path: Path) -> dict[str, DicomFile]:
    """The Inventories in the folder of a file. Paths in references are ignored."""
    files = (look(entry) for entry in sorted(path.parent.iterdir()) if entry.is_file())
    inventories = (file for file in files if isinstance(file, DicomFile) and file.sop_class_uid == INVENTORY)
    return {file.sop_instance_uid: file for file in inventories}


def _chunks(file: DicomFile) -> Iterator[bytes]:
    with file.path.open("rb") as opened:
        opened.seek(file.offset)
        while chunk := opened.read(_CHUNK):
            yield chunk
