"""A ward's orders as data sets: placed over HTTP, or read as files by wlmscpfs and Orthanc's plugin."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian

from tests.support.archive import RunningArchive
from tests.support.dcmtk import tool, wait_listening
from tests.support.orthanc import Orthanc
from tests.support.ports import free_port

MEDIA_TYPE = "application/dicom+json"
PLUGIN = Path("/usr/share/orthanc/plugins/libModalityWorklists.so")


def scheduled(id_: str = "S1", **values: Any) -> Dataset:
    """A scheduled step."""
    step = Dataset()
    step.ScheduledStationAETitle = "CT1"
    step.ScheduledProcedureStepStartDate = "20260105"
    step.ScheduledProcedureStepStartTime = "093000"
    step.Modality = "CT"
    step.ScheduledPerformingPhysicianName = "House^Gregory"
    step.ScheduledProcedureStepDescription = "Head"
    step.ScheduledProcedureStepID = id_
    step.ScheduledProcedureStepLocation = "Room 1"
    step.update(values)
    return step


def ordered(number: int, *steps: Dataset, **values: Any) -> Dataset:
    """An order for a patient of its own."""
    order = Dataset()
    order.SpecificCharacterSet = "ISO_IR 192"
    order.AccessionNumber = f"A{number}"
    order.ReferringPhysicianName = "Cuddy^Lisa"
    order.PatientName = f"Patient^No{number}"
    order.PatientID = f"P{number}"
    order.PatientBirthDate = "19700101"
    order.PatientSex = "O"
    order.StudyInstanceUID = f"1.2.840.99.{number}"
    order.RequestedProcedureDescription = "CT of the head"
    order.RequestedProcedureID = f"R{number}"
    order.RequestedProcedurePriority = "ROUTINE"
    order.ScheduledProcedureStepSequence = Items(list(steps) or [scheduled()])
    order.update(values)
    return order


class OrdersClient:
    """The resource of orders, over HTTP."""

    def __init__(self, archive: RunningArchive, port: int | None = None) -> None:
        self._base = f"http://127.0.0.1:{port or archive.http_port}/dicom-web/orders"

    def ask(self, method: str, path: str = "", body: Any = None) -> tuple[int, Any]:
        """Status, and the answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._base + path, data, {"Content-Type": MEDIA_TYPE, "Accept": "*/*"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def place(self, *orders: Dataset) -> None:
        for order in orders:
            status, answer = self.ask("POST", "", order.to_json_dict())
            assert status == 201, answer

    def states(self, key: str) -> dict[str, str]:
        """The states of an order's steps."""
        status, answer = self.ask("GET", f"/{key}")
        assert status == 200, answer
        steps = answer[0]["00400100"]["Value"]
        return {step["00400009"]["Value"][0]: step["00400020"]["Value"][0] for step in steps}


class WlmScp:
    """`wlmscpfs`, which answers from worklist files, those of GANTRY."""

    def __init__(self, folder: Path, orders: Sequence[Dataset]) -> None:
        self.port = free_port()
        own = folder / "GANTRY"
        own.mkdir(parents=True)
        (own / "lockfile").touch()
        for number, order in enumerate(orders):
            _write(own / f"{number}.wl", order)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        command = [tool("wlmscpfs"), "-csk", "-dfp", str(self._folder), str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_listening(self.port)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)


class OrthancWorklist:
    """Orthanc with its plugin for worklists, which answers from the same files, as ORTHANC."""

    def __init__(self, folder: Path, orders: Sequence[Dataset]) -> None:
        if not PLUGIN.exists():
            pytest.skip("Orthanc's worklist plugin is not installed (deploy/peers.sh does it as root on Debian)")
        self.port = free_port()
        files = folder / "worklists"
        files.mkdir(parents=True)
        for number, order in enumerate(orders):
            _write(files / f"{number}.wl", order)
        more = {
            "Plugins": [str(PLUGIN)],
            "Worklists": {"Enable": True, "Database": str(files), "FilterIssuerAet": False},
            "DicomAlwaysAllowFindWorklist": True,
            "DefaultEncoding": "Utf8",
        }
        self._orthanc = Orthanc(folder, self.port, free_port(), settings=more)

    def __enter__(self) -> Self:
        self._orthanc.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._orthanc.__exit__()


def _write(path: Path, order: Dataset) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.276.0.7230010.3.1.0.1"
    meta.MediaStorageSOPInstanceUID = order.StudyInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    pydicom.dcmwrite(path, _with_meta(order, meta), enforce_file_format=True)


def _with_meta(order: Dataset, meta: FileMetaDataset) -> Dataset:
    written = Dataset(order)
    written.file_meta = meta
    return written


def plain(answers: Sequence[Dataset]) -> list[str]:
    """Answers as comparable texts in a fixed order, without their character set."""
    return sorted(json.dumps(_plain(answer), sort_keys=True, ensure_ascii=False) for answer in answers)


def _plain(answer: Dataset) -> Mapping[str, Any]:
    values: dict[str, Any] = {}
    for element in answer:
        if element.keyword == "SpecificCharacterSet":
            continue
        value = element.value
        values[element.keyword] = [_plain(item) for item in value] if element.VR == "SQ" else str(value or "")
    return values
