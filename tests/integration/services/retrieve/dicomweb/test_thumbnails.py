"""Thumbnails: which image represents a series or study, and what is cached."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset

from gantry.common.ports.index import InstanceKey, Loss
from gantry.services.retrieve.dicomweb.picture_cache import PictureCache
from tests.integration.services.retrieve.dicomweb.test_objects import get
from tests.support.objects import data_set
from tests.support.pictures import grey
from tests.support.web import WebSite


def shade(level: int, number: int | None, series: str = "1.3", **more: object) -> Dataset:
    """An image of one shade, so that it is seen which one is shown."""
    ds = grey(np.full((16, 16), level, dtype="<u2"))
    ds.WindowCenter, ds.WindowWidth = 128, 256
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = "1.2", series, f"{series}.{level}"
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.Modality = "CT"
    if number is not None:
        ds.InstanceNumber = number
    for name, value in more.items():
        setattr(ds, name, value)
    return ds


async def level_of(site: WebSite, path: str) -> int:
    """The shade of a thumbnail."""
    status, body, _ = await get(site, f"/dicom-web/studies/{path}/thumbnail", "image/png")
    assert status == 200, body
    picture = np.asarray(Image.open(io.BytesIO(body)).convert("L"))
    return round(float(picture.mean()))


async def test_a_series_is_shown_by_its_middle_image_in_order_of_number(site: WebSite) -> None:
    # Sent last to first; as texts, 10 would come before 9.
    await site.keep(*(shade(level, number) for level, number in ((200, 11), (150, 10), (100, 9), (50, 8), (25, 2))))
    assert abs(await level_of(site, "1.2/series/1.3") - 100) <= 2


async def test_what_has_no_number_or_no_image_does_not_move_the_middle(site: WebSite) -> None:
    document = data_set(study="1.2", series="1.3", instance="1.3.999")
    document.InstanceNumber = 3
    for name in ("Rows", "Columns", "PixelData"):
        delattr(document, name)
    await site.keep(shade(50, 2), shade(100, 3), shade(150, 4), document)
    assert abs(await level_of(site, "1.2/series/1.3") - 100) <= 2


async def test_a_study_is_shown_by_its_largest_series_of_images(site: WebSite) -> None:
    report = [data_set(study="1.2", series="1.9", instance=f"1.9.{n}") for n in range(9)]
    for dataset in report:
        dataset.Modality = "SR"
    localizer = [shade(250, 1, "1.4", SeriesNumber=1)]
    await site.keep(*report, *localizer, *(shade(level, level, SeriesNumber=2) for level in (40, 80, 120)))
    assert abs(await level_of(site, "1.2") - 80) <= 2


async def test_a_multi_frame_object_is_shown_by_its_middle_frame_and_its_own_thumbnail_by_the_first(
    site: WebSite,
) -> None:
    cine = shade(10, 1)
    frames = np.stack([np.full((16, 16), level, dtype="<u2") for level in (20, 60, 180)])
    cine.NumberOfFrames, cine.PixelData = 3, frames.tobytes()
    await site.keep(cine)
    assert abs(await level_of(site, "1.2/series/1.3") - 60) <= 2
    assert abs(await level_of(site, "1.2/series/1.3/instances/1.3.10") - 20) <= 2


async def test_a_browser_keeps_a_thumbnail_until_another_image_is_in_the_middle(site: WebSite) -> None:
    await site.keep(shade(50, 1), shade(100, 2), shade(150, 3))
    url = "/dicom-web/studies/1.2/series/1.3/thumbnail"
    status, _, headers = await get(site, url)
    assert (status, headers["Cache-Control"]) == (200, "private, max-age=60")
    assert (await get(site, url, **{"If-None-Match": headers["ETag"]}))[0] == 304
    assert [(await get(site, url, **{"If-Match": tag}))[0] for tag in (headers["ETag"], '"another"')] == [200, 412]
    assert (await get(site, url + "?viewport=8,8", **{"If-None-Match": headers["ETag"]}))[0] == 200
    own = "/dicom-web/studies/1.2/series/1.3/instances/1.3.50/thumbnail"
    assert (await get(site, own))[2]["Cache-Control"] == "private, max-age=3600"


# ---- what is kept


async def test_a_thumbnail_is_made_once(site: WebSite, monkeypatch: pytest.MonkeyPatch) -> None:
    await site.keep(shade(50, 1))
    path = "1.2/series/1.3/instances/1.3.50"
    first = await level_of(site, path)

    async def never(*arguments: object) -> bytes:
        raise AssertionError("rendered again")

    monkeypatch.setattr("gantry.services.retrieve.pixels.converter.Converter.render", never)
    assert await level_of(site, path) == first


@pytest.mark.parametrize("harm", ["missing", "cut", "lost"])
async def test_nothing_is_shown_of_an_object_that_is_no_longer_well(site: WebSite, harm: str, tmp_path: Path) -> None:
    await site.keep(shade(50, 1))
    url = "/dicom-web/studies/1.2/series/1.3/instances/1.3.50/thumbnail"
    status, _, headers = await get(site, url)
    assert status == 200
    key = InstanceKey("1.2", "1.3", "1.3.50")
    (receipt,) = await site.index.receipts("default", key)
    stored = tmp_path / "objects" / receipt.object_key
    if harm == "cut":
        stored.write_bytes(stored.read_bytes()[:-64])
    else:
        stored.unlink()
    if harm == "lost":
        await site.index.lose([Loss("default", key, receipt.id)])
    assert (await get(site, url))[0] == 500
    assert (await get(site, url, **{"If-None-Match": headers["ETag"]}))[0] == 500


async def test_what_is_kept_is_bounded_private_and_found_again_by_the_next_process(tmp_path: Path) -> None:
    folder = tmp_path / "thumbnails"
    cache = PictureCache(folder, 1000)
    for number in range(20):
        await cache.put(f"{number:040x}", b"x" * 100)
        assert await cache.get(f"{0:040x}") is not None  # used all the time
    paths = [path for path in folder.glob("*/*") if path.is_file()]
    assert sum(path.stat().st_size for path in paths) == 1000
    assert folder.stat().st_mode & 0o077 == 0
    assert await cache.get(f"{1:040x}") is None
    await cache.close()
    again = PictureCache(folder, 500)
    assert await again.get(f"{0:040x}") == b"x" * 100
    await again.put(f"{99:040x}", b"y" * 100)
    assert sum(path.stat().st_size for path in folder.glob("*/*")) == 500


async def test_a_temporary_folder_is_removed_and_a_disk_that_is_away_harms_nobody(tmp_path: Path) -> None:
    cache = PictureCache(None, 1000)
    await cache.put("ab" * 20, b"x")
    assert await cache.get("ab" * 20) == b"x"
    folder = cache._root()
    assert folder.is_dir()
    await cache.close()
    assert not folder.exists()
    (tmp_path / "file").write_bytes(b"")
    nowhere = PictureCache(tmp_path / "file", 1000)
    await nowhere.put("ab" * 20, b"x")
    assert await nowhere.get("ab" * 20) is None
    nothing = PictureCache(tmp_path / "none", 0)
    await nothing.put("ab" * 20, b"x")
    assert not (tmp_path / "none").exists()
