"""`gantry echo|store|find|get|move|commit` against SCPs of pynetdicom and against our own archive."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
import pytest
from click.testing import CliRunner
from pydicom.dataset import Dataset
from pynetdicom import build_context, evt

from gantry.common.dicom.standard.sop_classes import (
    STORAGE_COMMITMENT,
    STORAGE_COMMITMENT_INSTANCE,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
)
from gantry.services.__main__ import main
from tests.e2e.conftest import Site
from tests.support import waiting as asking
from tests.support.archive import ROOT
from tests.support.dcmtk import content
from tests.support.objects import CT, data_set, sample, study
from tests.support.ports import free_port
from tests.support.pynetdicom_peers import Kept, Scp

FIND, GET, MOVE = STUDY_ROOT_FIND, STUDY_ROOT_GET, STUDY_ROOT_MOVE


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


def gantry(*arguments: object) -> Done:
    """The command, run to its end in this process: starting Python takes longer than what it does here."""
    result = CliRunner().invoke(main, list(map(str, arguments)), env={"COLUMNS": "200"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return Done(result.exit_code, result.stdout, result.stderr)


def as_process(*arguments: object) -> Done:
    """The command as users run it."""
    done = subprocess.run(
        [sys.executable, "-m", "gantry", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


class OtherArchive(Scp):
    """An archive of somebody else's: two CT instances of one study."""

    def __init__(self, destination: int) -> None:
        self.held = [data_set(study="1.2.3", series="1.2.3.1", instance=f"1.2.3.1.{n}", number=n) for n in (1, 2)]
        self.destination = destination
        handlers = [
            (evt.EVT_C_FIND, self._find),
            (evt.EVT_C_GET, self._get),
            (evt.EVT_C_MOVE, self._move),
            (evt.EVT_N_ACTION, self._action),
        ]
        super().__init__("OTHER", handlers=handlers, contexts=[FIND, GET, MOVE])

    def _find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        answer = Dataset()
        answer.QueryRetrieveLevel = event.identifier.QueryRetrieveLevel
        answer.StudyInstanceUID, answer.SOPClassesInStudy = "1.2.3", CT
        answer.SpecificCharacterSet, answer.PatientName = "ISO_IR 192", "Müller^Jörg"
        yield 0xFF00, answer

    def _get(self, event: evt.Event) -> Iterator[Any]:
        yield len(self.held)
        for ds in self.held:
            yield 0xFF00, ds

    def _move(self, event: evt.Event) -> Iterator[Any]:
        if event.move_destination != "DEST":
            yield None, None
            return
        yield "127.0.0.1", self.destination, {"contexts": [build_context(CT, "1.2.840.10008.1.2.1")]}
        yield len(self.held)
        for ds in self.held:
            yield 0xFF00, ds

    def _action(self, event: evt.Event) -> tuple[int, None]:
        request = event.action_information
        report = Dataset()
        report.TransactionUID = request.TransactionUID
        good, bad = request.ReferencedSOPSequence[:-1], request.ReferencedSOPSequence[-1]
        bad.FailureReason = 0x0112
        report.ReferencedSOPSequence, report.FailedSOPSequence = good, [bad]

        def tell() -> None:
            event.assoc.send_n_event_report(report, 2, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE)

        threading.Timer(0.3, tell).start()
        return 0x0000, None


@pytest.fixture(scope="module")
def destination() -> Iterator[Scp]:
    with Scp("DEST", free_port()) as scp:
        yield scp


@pytest.fixture(scope="module")
def other(destination: Scp) -> Iterator[OtherArchive]:
    with OtherArchive(destination.port) as scp:
        yield scp


# ---- against somebody else's archive


def test_echo_says_success(other: OtherArchive) -> None:
    done = as_process("echo", other.address)
    assert (done.returncode, done.stderr) == (0, "")
    assert "0000H success" in done.stdout


def test_store_sends_a_folder_byte_for_byte_and_says_so_in_json(other: OtherArchive, tmp_path: Path) -> None:
    files = [sample(tmp_path, name) for name in ("CT_small.dcm", "MR_small_RLE.dcm", "SC_rgb_jpeg_dcmtk.dcm")]
    (tmp_path / "notes.txt").write_text("not DICOM")
    done = gantry("store", other.address, tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["sop_instance_uid"]: line["status"] for line in lines} == {f.sop_instance_uid: "0000" for f in files}
    assert all(other.kept.data[f.sop_instance_uid] == content(f.path) for f in files)
    assert "notes.txt" in done.stderr


def test_store_fails_in_words_where_the_archive_refuses(tmp_path: Path) -> None:
    (file,) = study(tmp_path, 1)
    with Scp("FULL", kept=Kept(lambda _uid: 0xA700)) as full:
        done = gantry("store", full.address, tmp_path)
    assert done.returncode == 1
    assert "A700H out of resources" in done.stderr
    assert str(file.path) in done.stderr


def test_find_shows_a_table_and_json(other: OtherArchive) -> None:
    done = gantry("find", other.address, "-k", "PatientName=M*")
    assert done.returncode == 0
    assert "Müller^Jörg" in done.stdout
    assert "1 match" in done.stdout
    (line,) = gantry("find", other.address, "--json").stdout.splitlines()
    assert json.loads(line)["00100010"]["Value"] == [{"Alphabetic": "Müller^Jörg"}]


def test_get_writes_what_the_archive_sends(other: OtherArchive, tmp_path: Path) -> None:
    done = gantry("get", other.address, "-o", tmp_path, "-k", "StudyInstanceUID=1.2.3", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["completed"] == 2
    assert {path.name for path in tmp_path.iterdir()} == {"1.2.3.1.1.dcm", "1.2.3.1.2.dcm"}
    for held in other.held:
        came = pydicom.dcmread(tmp_path / f"{held.SOPInstanceUID}.dcm")
        assert came.PixelData == held.PixelData
        assert came.PatientName == held.PatientName


def test_move_has_the_archive_send_elsewhere(other: OtherArchive, destination: Scp) -> None:
    done = gantry("move", other.address, "--to", "DEST", "-k", "StudyInstanceUID=1.2.3")
    assert done.returncode == 0, done.stderr
    assert "0000H success: 0 remaining, 2 completed, 0 failed, 0 warning" in done.stdout
    assert {"1.2.3.1.1", "1.2.3.1.2"} <= set(destination.kept.data)


def test_move_says_that_the_archive_does_not_know_the_destination(other: OtherArchive) -> None:
    done = gantry("move", other.address, "--to", "NOWHERE", "-k", "StudyInstanceUID=1.2.3")
    assert done.returncode == 1
    assert "A801H move destination unknown" in done.stdout


def test_commit_waits_for_the_report_and_says_what_failed(other: OtherArchive, tmp_path: Path) -> None:
    files = study(tmp_path, 3)
    done = gantry("commit", other.address, tmp_path, "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert report["committed"] == 2
    assert [failed["reason"] for failed in report["failed"]] == ["0112"]
    assert report["failed"][0]["sop_instance_uid"] in {f.sop_instance_uid for f in files}


# ---- in words: why there is no association


def test_a_wrong_port_is_said_in_words() -> None:
    done = as_process("echo", f"OTHER@127.0.0.1:{free_port()}")
    assert done.returncode == 3
    assert "no connection" in done.stderr
    assert "refused" in done.stderr.lower()
    assert "Traceback" not in done.stderr


def test_a_wrong_called_ae_title_is_said_in_words(other: OtherArchive) -> None:
    other.ae.require_called_aet = True
    try:
        done = gantry("echo", f"WRONG@127.0.0.1:{other.port}")
    finally:
        other.ae.require_called_aet = False
    assert done.returncode == 3
    assert "rejected (1/1/7)" in done.stderr
    assert "check the part before the @" in done.stderr


def test_an_unknown_calling_ae_title_is_said_in_words(other: OtherArchive) -> None:
    other.ae.require_calling_aet = ["SOMEBODY"]
    try:
        done = gantry("echo", other.address)
        assert gantry("echo", other.address, "--aet", "SOMEBODY").returncode == 0
    finally:
        other.ae.require_calling_aet = []
    assert done.returncode == 3
    assert "rejected (1/1/3)" in done.stderr
    assert "--aet" in done.stderr


def test_a_service_that_the_peer_does_not_offer_is_said_in_words(destination: Scp) -> None:
    done = gantry("find", destination.address)
    assert done.returncode == 3
    assert "does not offer this service" in done.stderr


def test_what_is_no_address_is_said_in_words() -> None:
    done = gantry("echo", "127.0.0.1:104")
    assert done.returncode == 2
    assert "AETITLE@host:port" in done.stderr


# ---- against our own


def test_every_verb_works_against_our_own_archive(site: Site, tmp_path: Path) -> None:
    address, caller = site.archive.address, ("--aet", "MODALITY")
    files = study(tmp_path / "sent", 3, size=16, patient="CLI1")
    uid = pydicom.dcmread(files[0].path).StudyInstanceUID
    key = ("-k", f"StudyInstanceUID={uid}")
    assert gantry("store", address, tmp_path / "sent", *caller).returncode == 0
    asking.wait_searchable(site.modality, uid, 3)
    assert "1 match" in gantry("find", address, *key, *caller).stdout
    assert gantry("get", address, "-o", tmp_path / "came", *key, *caller).returncode == 0
    came = tmp_path / "came"
    assert [content(came / f"{f.sop_instance_uid}.dcm") for f in files] == [content(f.path) for f in files]
    with Scp("DEST", site.ports["DEST"]) as scp:
        assert gantry("move", address, "--to", "DEST", *key, *caller).returncode == 0
        several = gantry("move", address, "--to", "DEST", "-k", f"StudyInstanceUID={uid}\\1.2.3.4", *caller)
    words = "gantry: the archive has nothing that matches StudyInstanceUID=1.2.3.4\n"
    assert (several.returncode, several.stderr) == (1, words), "one that is not there is no success"
    assert scp.kept.data == {f.sop_instance_uid: content(f.path) for f in files}
    done = gantry("commit", address, tmp_path / "sent", *caller)
    assert (done.returncode, done.stdout.strip()) == (0, "3 committed, 0 not")
