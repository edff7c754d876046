"""Functions of our command line, for tests of something else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import replace

import pydicom

from gantry.cli.commit import ask
from gantry.cli.files import DicomFile
from gantry.cli.identifiers import BOTH, identifier
from gantry.cli.query import find_all
from gantry.cli.store import send_files
from gantry.common.dicom.standard.sop_classes import STUDY_ROOT_FIND
from gantry.common.net import Peer, connect


def store(peer: Peer, files: Iterable[DicomFile]) -> None:
    """C-STORE all files; all must succeed."""
    wanted = list(files)
    sent = asyncio.run(send_files(peer, wanted))
    assert sent.stored == len(wanted), sent.failures


async def _instances(peer: Peer, study: str) -> int:
    async with connect(peer, [(STUDY_ROOT_FIND, BOTH)]) as association:
        query = identifier("STUDY", [f"StudyInstanceUID={study}", "NumberOfStudyRelatedInstances"])
        matches, status, comment = await find_all(association, STUDY_ROOT_FIND, query, timeout=30.0)
    assert status == 0, comment
    return sum(int(match.NumberOfStudyRelatedInstances or 0) for match in matches)


def wait_searchable(peer: Peer, study: str, count: int, seconds: float = 30.0) -> None:
    """Wait until `count` instances of a study are in the index."""
    deadline = time.monotonic() + seconds
    while (number := asyncio.run(_instances(peer, study))) != count:
        assert time.monotonic() < deadline, f"{number} of {count} instances are searchable after {seconds:g} s"
        time.sleep(0.05)


async def _is_found(peer: Peer, file: DicomFile) -> bool:
    ds = pydicom.dcmread(file.path, stop_before_pixels=True)
    keys = [f"{keyword}={ds[keyword].value}" for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")]
    async with connect(peer, [(STUDY_ROOT_FIND, BOTH)]) as association:
        matches, _, _ = await find_all(association, STUDY_ROOT_FIND, identifier("IMAGE", keys), timeout=30.0)
    return len(matches) == 1


def wait_found(peer: Peer, file: DicomFile, seconds: float = 30.0) -> None:
    """Wait until an instance is in the index."""
    deadline = time.monotonic() + seconds
    while not asyncio.run(_is_found(peer, file)):
        assert time.monotonic() < deadline, f"{file.path.name} is not searchable after {seconds:g} s"
        time.sleep(0.05)


def calling(peer: Peer, ae_title: str) -> Peer:
    """The same archive, called with another calling AE title."""
    return replace(peer, calling_ae_title=ae_title)


def commit(peer: Peer, files: Iterable[DicomFile], seconds: float = 60.0) -> tuple[int, int]:
    """Storage commitment on one association: how many are committed, and how many are not."""
    references = [(f.sop_class_uid, f.sop_instance_uid) for f in files]
    status, _, report = asyncio.run(ask(peer, references, wait=seconds, timeout=30.0))
    assert status == 0, f"refused: {status:04X}H"
    assert report is not None, f"no report after {seconds:g} s"
    return len(report.get("ReferencedSOPSequence") or []), len(report.get("FailedSOPSequence") or [])
