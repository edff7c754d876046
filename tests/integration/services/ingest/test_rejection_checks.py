"""A rejection note that overtook an instance is not answered as if it hid it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.sqlite import open_sqlite_index, open_sqlite_log
from gantry.common.clock import SystemClock
from gantry.common.dicom.encoding.part10 import parse_meta
from gantry.common.dicom.standard.sop_classes import KEY_OBJECT_SELECTION
from gantry.common.errors import DependencyUnavailable
from gantry.common.events import INDEXED
from gantry.common.ids import Receipt
from gantry.common.runtime.rejections import RejectionRules, rules_of
from gantry.services.indexer.entries import entry_of
from gantry.services.ingest.rejection_checks import RejectionChecks
from tests.support.facts import stored
from tests.support.objects import file_bytes
from tests.support.rejection_notes import rejection_note

IMAGE_AT = 5_000_000_000


@pytest.mark.parametrize(("note_at", "taken"), [(IMAGE_AT + 1000, True), (IMAGE_AT, True), (IMAGE_AT - 1000, False)])
async def test_an_instance_that_is_younger_than_its_note_is_said_to_the_sender(
    tmp_path: Path, note_at: int, taken: bool
) -> None:
    objects = await open_file_store(tmp_path / "objects", low_water=0)
    log = await open_sqlite_log(tmp_path / "log.db", SystemClock())
    index = await open_sqlite_index(tmp_path / "index.db")
    image = replace(stored(1), receipt=Receipt.at(IMAGE_AT).id, header=b"\x10\x00\x20\x00LO\x02\x00P1")
    async with log.consumer("indexer", list(INDEXED)) as consumer:
        await log.append(image)
        await index.apply([entry_of(image)])
        await consumer.commit(await consumer.poll())
    named = Dataset()
    named.StudyInstanceUID, named.SeriesInstanceUID = image.study_instance_uid, image.series_instance_uid
    named.SOPClassUID, named.SOPInstanceUID = image.sop_class_uid, image.sop_instance_uid
    named.PatientID, named.PatientName, named.StudyDate, named.StudyTime = "P1", "A^B", "20240101", "10"
    made = rejection_note([named])
    part10 = file_bytes(made)
    note = replace(
        stored(2),
        receipt=Receipt.at(note_at).id,
        sop_class_uid=KEY_OBJECT_SELECTION,
        sop_instance_uid=made.SOPInstanceUID,
        series_instance_uid=made.SeriesInstanceUID,
        transfer_syntax_uid=made.file_meta.TransferSyntaxUID,
        header=part10[parse_meta(part10).data_set_offset :],
    )
    checks = RejectionChecks(objects, index, log, SystemClock(), RejectionRules(rules_of(["113001=hide"])))
    if taken:
        assert await checks.check(note, may_reject={"113001"})
    else:
        with pytest.raises(DependencyUnavailable, match="send the note again"):
            await checks.check(note, may_reject={"113001"})
    for store in (index, log, objects):
        await store.close()
