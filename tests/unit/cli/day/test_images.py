"""The images of a planned day."""

from __future__ import annotations

from io import BytesIO

import pydicom
import pytest

from gantry.cli.day.images import ImageSource, images, patient_id
from gantry.cli.day.plan import MIX, DayModality, PlannedStudy, Series
from gantry.common.ids import is_uid


async def read(source: ImageSource, size: int) -> bytes:
    content, buffer = bytearray(), bytearray(size)
    while count := await source.readinto([memoryview(buffer)[: size // 2], memoryview(buffer)[size // 2 :]]):
        content += buffer[:count]
    return bytes(content)


@pytest.mark.parametrize("modality", MIX, ids=lambda modality: modality.name)
async def test_every_image_is_a_data_set_that_can_be_read(modality: DayModality) -> None:
    small = DayModality(modality.name, 1, modality.sop_class, (1, 1), (1, 1), 8, 6, modality.pixel)
    planned = PlannedStudy(3661.5, small, (Series(2), Series(1)), 7, ())
    made = list(images(planned, "1.2.3", "20260101"))
    assert len(made) == 3
    for image in made:
        data = await read(ImageSource(image), 100)
        assert len(data) == image.length
        ds = pydicom.dcmread(BytesIO(data), force=True)
        assert (ds.SOPInstanceUID, ds.StudyInstanceUID, ds.PatientID) == (
            image.sop_instance_uid,
            "1.2.3",
            patient_id(7),
        )
        assert ds.StudyTime == "010101"
        assert len(ds.PixelData) == 8 * 6 * modality.pixel
        assert is_uid(ds.SeriesInstanceUID)
    assert len({image.sop_instance_uid for image in made}) == 3
