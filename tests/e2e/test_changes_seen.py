"""What changes after arrival, as foreign readers see it at once: DCMTK, Orthanc (over DIMSE and DICOMweb), dcmjs, OHIF.

Each asks when the change was answered, and never again: who gets an answer has been promised that everybody sees it.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.crash.test_corrections import ask, identity
from tests.e2e.test_ohif import ohif  # noqa: F401 (a fixture)
from tests.e2e.test_orthanc_web import search
from tests.support import dcmtk
from tests.support.archive import ROOT, RunningArchive
from tests.support.browser import browser, chromium
from tests.support.objects import data_set, file_bytes
from tests.support.orthanc import Orthanc
from tests.support.page import url
from tests.support.ports import free_port
from tests.support.rejection_notes import rejection_note
from tests.support.stow import files, post
from tests.support.topology import TOPOLOGIES, environment, remove_stores
from tests.support.waiting import wait_searchable

SETTINGS = "http: {may_correct: [loopback], may_delete: [loopback]}\n"
IN_OHIF = """(() => {
  const sets = window.services?.displaySetService?.getActiveDisplaySets() ?? [];
  const name = sets[0]?.instances?.[0]?.PatientName ?? sets[0]?.instance?.PatientName;
  if (name) return (Array.isArray(name) ? name[0] : name).Alphabetic ?? String(name);
  return /notfound/i.test(location.pathname) ? 'nothing' : '';
})()"""
NUMBERS = count()


class Readers:
    """Each gives the patient's names that it is shown of a study."""

    def __init__(self, archive: RunningArchive, orthanc: Orthanc, node: Path, folder: Path) -> None:
        self._archive, self._orthanc, self._node, self._folder = archive, orthanc, node, folder

    def dcmtk(self, uid: str) -> list[str]:
        address = "-aec", "GANTRY", "127.0.0.1", self._archive.port
        keys = "-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={uid}", "-k", "PatientName"
        matches = dcmtk.find(address, self._folder / f"find{next(NUMBERS)}", *keys)
        return [str(match.PatientName) for match in matches]

    def dcmtk_get(self, uid: str) -> list[str]:
        into = self._folder / f"get{next(NUMBERS)}"
        into.mkdir()
        address = "-aec", "GANTRY", "-od", into, "127.0.0.1", self._archive.port
        dcmtk.run("getscu", "-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={uid}", *address)
        return [str(pydicom.dcmread(path).PatientName) for path in into.iterdir()]

    def orthanc(self, uid: str) -> list[str]:
        query = {"Level": "Study", "Query": {"StudyInstanceUID": uid, "PatientName": ""}}
        path = self._orthanc.post("/modalities/gantry/query", query)["Path"]
        return [match["PatientName"] for match in self._orthanc.get(f"{path}/answers?expand&simplify")]

    def orthanc_web(self, uid: str) -> list[str]:
        return [match["00100010"]["Value"] for match in search(self._orthanc, "/studies", StudyInstanceUID=uid)]

    def dcmjs(self, uid: str) -> list[str]:
        command = ["node", "names.js", str(self._archive.port), uid]
        done = subprocess.run(command, cwd=self._node, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout.splitlines()[-1])
        assert set(report["found"]) == set(report["fetched"])
        return list(report["found"])

    async def ohif(self, uid: str) -> list[str]:
        async with browser() as page:
            await page.open(f"{url(self._archive)}/ohif/viewer?StudyInstanceUIDs={uid}")
            shown = await page.until(IN_OHIF, 60)
            page.errors.clear()
        return [] if shown == "nothing" else [shown]

    async def all(self, uid: str, *, viewer: bool = False) -> dict[str, list[str]]:
        """What each of them shows, and with `viewer` OHIF, too, which takes its time."""
        names = {
            read.__name__: await asyncio.to_thread(read, uid)
            for read in (self.dcmtk, self.dcmtk_get, self.orthanc, self.orthanc_web, self.dcmjs)
        }
        return {**names, "ohif": await self.ohif(uid)} if viewer else names


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed, which fetches dcmjs-dimse")
    folder = Path(shutil.copytree(ROOT / "tests/support/dcmjs", tmp_path_factory.mktemp("node") / "dcmjs"))
    command = ["npm", "install", "--no-audit", "--no-fund", "--silent"]
    if subprocess.run(command, cwd=folder, capture_output=True, timeout=240, check=False).returncode:
        pytest.skip("npm cannot fetch dcmjs-dimse")
    return folder


@pytest.fixture(params=TOPOLOGIES)
def readers(
    request: pytest.FixtureRequest,
    ohif: str,  # noqa: F811
    node: Path,
    tmp_path: Path,
) -> Iterator[tuple[RunningArchive, Readers]]:
    chromium()
    stores = environment(request.param, tmp_path)
    (tmp_path / "archive").mkdir()
    archive = RunningArchive(tmp_path / "archive", environment={**stores, "GANTRY_HTTP__OHIF": ohif})
    archive.write_policy([], SETTINGS)
    archive.start()
    (tmp_path / "orthanc").mkdir()
    try:
        with Orthanc(tmp_path / "orthanc", free_port(), archive.port, archive.http_port) as orthanc:
            yield archive, Readers(archive, orthanc, node, tmp_path)
        assert archive.alive, archive.log.read_text()
    finally:
        archive.stop()
        remove_stores(stores)


def _store(archive: RunningArchive, *data_sets: Dataset) -> None:
    assert post(archive, files([file_bytes(dataset) for dataset in data_sets])).status == 200


@pytest.mark.timeout(400)  # OHIF is opened anew each time
async def test_every_reader_sees_each_change_at_once(readers: tuple[RunningArchive, Readers]) -> None:
    archive, read = readers
    image, other = data_set(name="First^Name", patient="SEEN1", size=64), data_set(name="Other^Name", patient="SEEN2")
    uid = str(image.StudyInstanceUID)
    await asyncio.to_thread(_store, archive, image, other)
    for dataset in (image, other):
        await asyncio.to_thread(wait_searchable, archive.peer, dataset.StudyInstanceUID, 1)

    async def change(method: str, path: str, body: object = None) -> None:
        status, answer = await asyncio.to_thread(ask, archive, method, f"{path}?reason=test", body)
        assert status in (200, 204), answer

    async def shows(name: str, *, viewer: bool = True) -> None:
        answers = {reader: set(names) for reader, names in (await read.all(uid, viewer=viewer)).items()}
        assert answers == dict.fromkeys(answers, {name} if name else set())

    await shows("First^Name", viewer=False)
    await change(
        "POST", f"studies/{uid}/corrections", {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "New^Name"}]}}
    )
    await shows("New^Name")
    await change("POST", "patients/merges", {"patient": identity("SEEN1"), "into": identity("SEEN2")})
    answers = await read.all(uid)
    assert len({tuple(names) for names in answers.values()}) == 1, answers
    await change("POST", "patients/withdrawals", {"patient": identity("SEEN1")})
    await shows("New^Name", viewer=False)
    await asyncio.to_thread(_store, archive, rejection_note([image]))
    await shows("")
    await change("POST", f"studies/{uid}/restore")
    await shows("New^Name", viewer=False)  # and the note, which is of the same study
    await change("DELETE", f"studies/{uid}")
    await shows("")
