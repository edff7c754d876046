"""Attributes whose VR is another one than the dictionary's: each object is stored, and no question that finds it, alone
or among others, fails. On both topologies: what an index takes is decided by its fields, too."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from gantry.cli.identifiers import BOTH
from gantry.common.dicom.encoding.part10 import file_meta
from gantry.common.dicom.query.attributes import STANDARD
from gantry.common.dicom.standard.tags import (
    SERIES_INSTANCE_UID,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    SPECIFIC_CHARACTER_SET,
    STUDY_INSTANCE_UID,
)
from gantry.common.dicom.standard.vrs import vr_of
from tests.support.archive import RunningArchive
from tests.support.dicomweb import ask
from tests.support.elements import CT, ITEM, Made, element, implicit
from tests.support.pynetdicom_peers import associated
from tests.support.stow import files, post
from tests.support.topology import TOPOLOGIES, environment, remove_stores

EXPLICIT = "1.2.840.10008.1.2.1"
FIND = str(StudyRootQueryRetrieveInformationModelFind)
UIDS = frozenset((STUDY_INSTANCE_UID, SERIES_INSTANCE_UID, SOP_INSTANCE_UID, SOP_CLASS_UID))
ATTRIBUTES = sorted(STANDARD.stored - UIDS - {SPECIFIC_CHARACTER_SET})
VALUES = {
    b"PN": b"X^Y ",
    b"LO": b"abcd",
    b"AT": b"\1\2\3\4",
    b"FD": struct.pack("<d", 1.5),
    b"SL": b"\xff\xff\xff\xff",
    b"SQ": implicit(ITEM, element(0x00100020, b"LO", b"P1") + element(0x00400275, b"PN", b"X^Y ")),
}
DOCUMENTS = ("application/dicom+json", 'multipart/related; type="application/dicom+xml"')


def odd_objects() -> Iterator[Made]:
    """One of a study for each attribute and each VR that is not its own."""
    for tag in ATTRIBUTES:
        for vr, value in VALUES.items():
            if vr != vr_of(tag):
                yield Made((tag, element(tag, vr, value)))


@pytest.fixture(scope="module", params=TOPOLOGIES)
def archive(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningArchive]:
    folder: Path = tmp_path_factory.mktemp("odd")
    running = RunningArchive(folder, environment=environment(request.param, folder))
    try:
        yield running.start()
        assert running.alive, running.log.read_text()
    finally:
        running.stop()
        remove_stores(running.environment)


def test_objects_of_other_vrs_fail_no_question(archive: RunningArchive) -> None:
    objects = list(odd_objects())
    bodies = [file_meta(CT, sample.instance, EXPLICIT) + sample.data for sample in objects]
    stored = [post(archive, files(bodies[first : first + 60])) for first in range(0, len(bodies), 60)]
    assert {answer.status for answer in stored} == {200}
    deadline = time.monotonic() + 120
    while (count := json.loads(ask(archive, "/dicom-web/studies/count")[1])["count"]) < len(objects):
        assert time.monotonic() < deadline, (count, len(objects))
        time.sleep(0.2)
    # All of them in one answer, page by page, and each ordered and asked for by what is odd of some.
    for level in ("studies", "series", "instances"):
        for accept in DOCUMENTS:
            for offset in range(0, len(objects), 100):
                path = f"/dicom-web/{level}?includefield=all&limit=100&offset={offset}"
                assert ask(archive, path, Accept=accept)[0] == 200, path
    for tag in ATTRIBUTES:
        for question in (f"{tag:08X}=X*", f"orderby={tag:08X}", f"{tag:08X}=20240101-20240202"):
            assert ask(archive, f"/dicom-web/studies?limit=5&{question}")[0] < 500, question
    for sample in objects[:: max(1, len(objects) // 60)]:
        for path in (f"/fhir/r4/ImagingStudy/{sample.study}", f"/dicom-web/studies/{sample.study}/history"):
            assert ask(archive, path)[0] < 500, path
    with associated(archive.peer, [(FIND, BOTH)]) as association:
        for level in ("STUDY", "SERIES", "IMAGE"):
            identifier = Dataset()
            identifier.QueryRetrieveLevel, identifier.StudyInstanceUID = level, ""
            for tag in ATTRIBUTES:
                identifier.add_new(tag, vr_of(tag).decode(), [] if vr_of(tag) == b"SQ" else "")
            for sample in objects[:: max(1, len(objects) // 100)] if level != "STUDY" else [None]:
                if sample is not None:
                    identifier.StudyInstanceUID, identifier.SeriesInstanceUID = (
                        sample.study,
                        sample.series if level == "IMAGE" else "",
                    )
                final = [status.Status for status, _ in association.send_c_find(identifier, FIND)][-1]
                assert final == 0x0000, (level, hex(final))
    unreadable = [line for line in archive.log.read_text().splitlines() if '"where"' in line or "dead letter" in line]
    assert not unreadable, unreadable[:3]
