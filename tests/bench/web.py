"""QIDO-RS and WADO-RS against Orthanc's DICOMweb plugin, which may leave fsync out: what is read is measured here."""

from __future__ import annotations

import asyncio
import io
import json
import os
import statistics
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from gantry.common.adapters.sqlite import open_sqlite_index
from tests.bench import contestants as field
from tests.bench import corpus
from tests.bench.asking import Client, crowd, percentile
from tests.bench.contestants import Contestant
from tests.bench.rows import Figure, running
from tests.bench.searching import study_entry
from tests.bench.stow import PLUGIN, post
from tests.support.objects import data_set, file_bytes

Start = Callable[[], Contestant]

JSON = "application/dicom+json"
_FIRST = 100_000_000
"""Numbers of studies begin here, so that all have as many digits."""
OCTETS = 'multipart/related; type="application/octet-stream"'
_SIDE, _FRAMES, _COMPRESSED_SIDE, _COMPRESSED_FRAMES = 256, 500, 512, 300


def _who(folder: Path) -> list[Start]:
    return [lambda: field.gantry(folder / "gantry"), lambda: field.orthanc(folder / "orthanc", sync=False, web=PLUGIN)]


# ---- searching


def qido(folder: Path, quick: bool) -> list[Figure]:
    """What a work list asks: a patient ID, the beginning of a name, an accession number, a day's first 25 studies. At
    as many studies as both can be filled with in about a minute; and ours at 100,000, put into its index directly."""
    figures, count = [], 1000 if quick else 10_000
    objects = [_study(number) for number in range(count)]
    for start in _who(folder):
        with running(start()) as server:
            seconds = sum(post(server.http_port, objects[at : at + 500]) for at in range(0, count, 500))
            words = f"taking in {count:,} studies of one small image"
            figures.append(Figure(words, server.name, count / seconds, "studies/s"))
            wait_found(server, study_entry(_FIRST + count - 1).study_instance_uid, 1)
            figures += _searched(server, count)
    many = 10_000 if quick else 100_000
    asyncio.run(_put_into_index(folder / "many" / "data" / "index.db", many))
    with running(field.gantry(folder / "many")) as server:
        figures += _searched(server, many)
    return figures


def _study(number: int) -> bytes:
    """The object that the index entry of this number is of. Its values are as long as the template's."""
    template, study = study_entry(_FIRST), study_entry(_FIRST + number)
    data = _template()
    for tag in (0x00100010, 0x00100020, 0x00081030, 0x00080020, 0x00080050):
        before, after = template.attributes[tag][0], study.attributes[tag][0]
        if isinstance(before, dict):
            before, after = before["Alphabetic"], after["Alphabetic"]
        data = data.replace(before.encode(), after.encode())
    return data.replace(str(_FIRST).encode(), str(_FIRST + number).encode())


@cache
def _template() -> bytes:
    study = study_entry(_FIRST)
    values = {tag: value[0] for tag, value in study.attributes.items()}
    ds = data_set(
        study=study.study_instance_uid,
        series=study.series_instance_uid,
        instance=study.sop_instance_uid,
        patient=values[0x00100020],
        name=values[0x00100010]["Alphabetic"],
        size=8,
        StudyDate=values[0x00080020],
        AccessionNumber=values[0x00080050],
        StudyDescription=values[0x00081030],
    )
    return file_bytes(ds)


async def _put_into_index(path: Path, count: int) -> None:
    path.parent.mkdir(parents=True)
    index = await open_sqlite_index(path)
    for at in range(0, count, 2000):
        await index.apply([study_entry(_FIRST + number) for number in range(at, at + 2000)])
    await index.close()


def _searched(server: Contestant, count: int) -> list[Figure]:
    dice, client = Random(7), Client(server.http_port)
    paths = [_question(dice, number, count) for number in range(400)]
    times = sorted(client.timed(path, JSON, b"0020000D") * 1000 for path in paths[:200])
    client.close()
    before = server.usage()
    answers, seconds = crowd(server.http_port, 8, paths, JSON)
    after = server.usage()
    cpu = (after.cpu - before.cpu) * 1000 / answers
    words = f"{count:,} studies"
    return [
        Figure(f"{words}, one client, median", server.name, statistics.median(times), "ms"),
        Figure(f"{words}, one client, 95th percentile", server.name, percentile(times, 95), "ms"),
        Figure(f"{words}, 8 clients", server.name, answers / seconds, "requests/s", cpu, after.peak),
    ]


def _question(dice: Random, kind: int, count: int) -> str:
    attributes = study_entry(_FIRST + dice.randrange(count)).attributes
    name = attributes[0x00100010][0]["Alphabetic"]
    queries = (
        f"PatientID={attributes[0x00100020][0]}",
        f"PatientName={name[:5]}*",
        f"AccessionNumber={attributes[0x00080050][0]}",
        f"StudyDate={attributes[0x00080020][0]}&limit=25",
    )
    return f"/dicom-web/studies?{queries[kind % 4]}"


def wait_found(server: Contestant, study: str, count: int) -> None:
    """Return when so many instances of a study are found."""
    client, deadline = Client(server.http_port), time.monotonic() + 120
    while True:
        answer = json.loads(client.get(f"/dicom-web/studies?StudyInstanceUID={study}&includefield=00201208", JSON))
        if answer and int(answer[0]["00201208"]["Value"][0]) >= count:
            break
        if time.monotonic() > deadline:
            raise RuntimeError(f"{server.name} does not find what it stored")
        time.sleep(0.1)
    client.close()


# ---- reading


def metadata(folder: Path, quick: bool) -> list[Figure]:
    """Of a series of 1,000 slices: the first time after a start, none of the files in the page cache; and again."""
    count, figures = 200 if quick else 1000, []
    files = sorted(corpus.make(folder / "series", count, 128, per_series=count).iterdir())
    objects = [file.read_bytes() for file in files]
    ds = pydicom.dcmread(files[0], stop_before_pixels=True)
    path = f"/dicom-web/studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}/metadata"
    for start in _who(folder):
        with running(_filled(start, objects, str(ds.StudyInstanceUID))) as server:
            client, before = Client(server.http_port), server.usage()
            cold = client.timed(path, JSON, b"7FE00010" if server.name == "gantry" else b"00280010") * 1000
            after = server.usage()
            warm = [client.timed(path, JSON) * 1000 for _ in range(5)]
            client.close()
            cpu = (after.cpu - before.cpu) * 1000
            figures.append(Figure(f"{count:,} instances, cold", server.name, cold, "ms", cpu, after.peak))
            figures.append(Figure(f"{count:,} instances, warm", server.name, statistics.median(warm), "ms"))
    return figures


def frame(folder: Path, quick: bool) -> list[Figure]:
    """The first frame of 500: the first time after a start, with none of the file in the page cache; then any."""
    ds, figures = multi_frame(), []
    place, size = place_of(ds), _SIDE * _SIDE * 2
    for start in _who(folder):
        with running(_filled(start, [file_bytes(ds)], str(ds.StudyInstanceUID))) as server:
            client = Client(server.http_port)
            cold = client.timed(f"{place}/frames/1", OCTETS, least=size) * 1000
            dice = Random(3)
            warm_times = [
                client.timed(f"{place}/frames/{dice.randint(1, _FRAMES)}", OCTETS, least=size) * 1000
                for _ in range(20 if quick else 100)
            ]
            client.close()
            figures.append(Figure("first of 500 frames, cold", server.name, cold, "ms", 0.0, server.usage().peak))
            figures.append(Figure("any of 500 frames, warm", server.name, statistics.median(warm_times), "ms"))
    return figures


def frames(folder: Path, quick: bool) -> list[Figure]:
    """16 clients that ask for frames in no order: of 131 KB as they are stored; of JPEG (512 x 512, 8 bits), decoded by
    the server; and as pictures."""
    native, jpeg, figures = multi_frame(), _compressed(), []
    questions = (
        ("as stored", native, "", OCTETS, 4000),
        ("JPEG decoded", jpeg, "", f"{OCTETS}; transfer-syntax=1.2.840.10008.1.2.1", 300),
        ("JPEG rendered", jpeg, "/rendered", "image/jpeg", 300),
    )
    for start in _who(folder):
        with running(start()) as server:
            for ds in (native, jpeg):
                post(server.http_port, [file_bytes(ds)])
                wait_found(server, str(ds.StudyInstanceUID), 1)
            for title, ds, tail, accept, number in questions:
                # Each frame once before any is asked again: a picture that was kept is not made again.
                order = Random(5).sample(range(ds.NumberOfFrames), ds.NumberOfFrames)
                count = number // (10 if quick else 1)
                paths = [f"{place_of(ds)}/frames/{order[n % len(order)] + 1}{tail}" for n in range(count)]
                before = server.usage()
                answers, seconds = crowd(server.http_port, 16, paths, accept)
                after = server.usage()
                cpu = (after.cpu - before.cpu) * 1000 / answers
                figures.append(Figure(title, server.name, answers / seconds, "frames/s", cpu, after.peak))
    return figures


def _filled(start: Start, objects: list[bytes], study: str) -> Contestant:
    """A contestant that holds these objects, just started, with none of its files in the page cache."""
    server = start()
    try:
        post(server.http_port, objects)
        wait_found(server, study, len(objects))
        server.end()
        _forget(server.folder)
    except BaseException:
        server.stop()
        raise
    return start()


def _forget(folder: Path) -> None:
    for path in (path for path in folder.rglob("*") if path.is_file()):
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)


def place_of(ds: Dataset) -> str:
    series = f"/dicom-web/studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}"
    return f"{series}/instances/{ds.SOPInstanceUID}"


def multi_frame() -> Dataset:
    pixels = os.urandom(_SIDE * _SIDE * 2 * _FRAMES)
    return data_set(size=_SIDE, NumberOfFrames=_FRAMES, PixelData=pixels)


def _compressed() -> Dataset:
    ds = data_set(size=8, NumberOfFrames=_COMPRESSED_FRAMES)
    ds.Rows = ds.Columns = _COMPRESSED_SIDE
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit = 7
    ds.PixelData = encapsulate([_jpeg(number) for number in range(_COMPRESSED_FRAMES)])
    ds["PixelData"].is_undefined_length = True
    ds["PixelData"].VR = "OB"
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    return ds


def _jpeg(number: int) -> bytes:
    """A slope with some noise on it."""
    noise = np.random.default_rng(number).integers(0, 16, (_COMPRESSED_SIDE, _COMPRESSED_SIDE))
    slope = np.arange(_COMPRESSED_SIDE) * 220 // _COMPRESSED_SIDE
    out = io.BytesIO()
    Image.fromarray((noise + slope).astype(np.uint8)).save(out, "JPEG", quality=90)
    return out.getvalue()
