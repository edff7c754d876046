"""Objects de-identified on their way out, in worker processes: what they leave in memory and on disk, and what they
refuse."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO

from gantry.common.deidentify.objects import Deidentifier
from gantry.common.deidentify.options import DeidentificationProfile, Option
from gantry.common.deidentify.pseudonyms import Pseudonyms
from gantry.common.dicom.standard.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN
from gantry.common.errors import NotDeidentified
from gantry.common.ports.index import Location
from gantry.services.retrieve.budget import Unavailable
from gantry.services.retrieve.deidentifying.objects import Deidentification, Deidentifying
from gantry.services.retrieve.opening import Opened
from gantry.services.retrieve.sources import BytesSource, read_exactly
from tests.support.objects import bytes_of, data_set, write

PSEUDONYMS = Pseudonyms(b"a key of the tests, long enough")


class Watched(BytesSource):
    """Knows whether it was closed."""

    closed = False

    async def close(self) -> None:
        self.closed = True
        await super().close()


@pytest.fixture
async def deidentification() -> AsyncIterator[Deidentification]:
    made = Deidentification(workers=1, spooled=4 << 20)
    yield made
    await made.close()


def through(deidentification: Deidentification, *options: Option) -> Deidentifying:
    return Deidentifying(
        "trial", Deidentifier(DeidentificationProfile(frozenset(options)), PSEUDONYMS), deidentification
    )


def opened(folder: Path, **more: object) -> tuple[Opened, Watched]:
    file = write(folder, data_set(patient="4711", name="Brenner^Jo", **more))  # type: ignore[arg-type]  # any field
    data, source = bytes_of(file), Watched(bytes_of(file))
    uid, at = file.sop_instance_uid, file.offset
    location = Location("1.2", "1.3", uid, file.sop_class_uid, EXPLICIT_LITTLE_ENDIAN, "key", at, len(data), "")
    return Opened(location, EXPLICIT_LITTLE_ENDIAN, len(data), source), source


@pytest.mark.parametrize("ahead", [False, True])
async def test_an_object_comes_out_without_names_and_its_room_is_given_back(
    deidentification: Deidentification, tmp_path: Path, ahead: bool
) -> None:
    before, source = opened(tmp_path)
    passing = through(deidentification)
    after = await passing.deidentified(before, "READING", ahead=ahead)
    assert source.closed
    assert deidentification.budget.taken == after.size
    data = await read_exactly(after.source, after.size)
    await after.source.close()
    await after.source.close()
    assert deidentification.budget.taken == 0
    copy = dcmread(DicomBytesIO(data), force=True)
    assert copy.SOPInstanceUID == passing.uid(before.location.sop_instance_uid)
    assert copy.PatientName != "Brenner^Jo"
    assert copy.PatientIdentityRemoved == "YES"


async def test_a_profile_that_keeps_uids_sends_under_the_same(
    deidentification: Deidentification, tmp_path: Path
) -> None:
    before, _ = opened(tmp_path)
    passing = through(deidentification, Option.UIDS)
    after = await passing.deidentified(before, "READING", ahead=False)
    data = await read_exactly(after.source, after.size)
    await after.source.close()
    uid = before.location.sop_instance_uid
    assert passing.uid(uid) == uid
    assert dcmread(DicomBytesIO(data), force=True).SOPInstanceUID == uid


async def test_what_must_not_leave_is_refused_in_words_and_leaves_nothing_behind(
    deidentification: Deidentification, tmp_path: Path
) -> None:
    passing = through(deidentification)
    burned, first = opened(tmp_path, BurnedInAnnotation="YES")
    with pytest.raises(NotDeidentified, match="Burned In Annotation says"):
        await passing.deidentified(burned, "READING", ahead=False)
    large, second = opened(tmp_path, size=1200)
    with pytest.raises(NotDeidentified, match="more than can be de-identified here"):
        await passing.deidentified(large, "READING", ahead=False)
    other, third = opened(tmp_path)
    known = replace(other, location=replace(other.location, sop_instance_uid="1.2.3"))
    with pytest.raises(NotDeidentified, match="another SOP Instance UID than it is known by"):
        await passing.deidentified(known, "READING", ahead=False)
    short, fourth = opened(tmp_path)
    with pytest.raises(NotDeidentified, match="shorter than the index says"):
        await passing.deidentified(replace(short, size=short.size + 2), "READING", ahead=False)
    assert all(source.closed for source in (first, second, third, fourth))
    assert deidentification.budget.taken == 0


async def test_ahead_of_its_turn_an_object_does_not_wait_for_room(
    deidentification: Deidentification, tmp_path: Path
) -> None:
    before, source = opened(tmp_path)
    assert deidentification.budget.take(3 << 20)
    with pytest.raises(Unavailable):
        await through(deidentification).deidentified(before, "READING", ahead=True)
    assert source.closed
    assert deidentification.budget.taken == 3 << 20


async def test_an_object_that_a_worker_dies_of_is_refused(
    deidentification: Deidentification, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gantry.services.retrieve.deidentifying.objects.WORK", ("os", "abort"))
    before, _ = opened(tmp_path)
    with pytest.raises(NotDeidentified, match="could not be de-identified"):
        await through(deidentification).deidentified(before, "READING", ahead=False)
    assert deidentification.budget.taken == 0
