"""What the command line says to who mistypes, asks the wrong port, or finds nothing; and how it prints."""

from __future__ import annotations

import csv
import json
import os
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydicom.dataset import Dataset
from pynetdicom import evt

from gantry.common.dicom.standard.sop_classes import STUDY_ROOT_FIND
from gantry.services.__main__ import main
from gantry.testing import InProcessGantry
from tests.support import waiting as asking
from tests.support.archive import RunningArchive
from tests.support.certificates import Authority
from tests.support.objects import data_set, file_bytes, study, write
from tests.support.ports import free_port
from tests.support.pynetdicom_peers import Scp

UID = "1.2.826.0.1.3680043.8.498.10000000000000000000000000000000000001"


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


def gantry(*arguments: object, columns: int = 80, env: dict[str, str] | None = None) -> Done:
    result = CliRunner().invoke(main, list(map(str, arguments)), env={"COLUMNS": str(columns), **(env or {})})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return Done(result.exit_code, result.stdout, result.stderr)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningArchive]:
    folder = tmp_path_factory.mktemp("words")
    authority = Authority(folder / "authority", "hospital")
    ours = authority.sign("archive")
    archive = RunningArchive(folder)
    env = {"CERTIFICATE": str(ours.certificate), "KEY": str(ours.key), "CA": str(authority.ca)}
    settings = {f"GANTRY_TLS__{name}": value for name, value in env.items()}
    archive.start(env={**settings, "GANTRY_DIMSE__TLS_PORT": str(free_port())})
    try:
        ds = data_set(study=UID, series=f"{UID}.1"[:64], instance=f"{UID[:-2]}.2", number=1)
        ds.PatientName, ds.StudyDate, ds.PatientID = "DOE^JANE", "20240131", "P1"
        sent = folder / "sent"
        write(sent, ds)
        assert gantry("store", archive.address, sent, "--aet", "CT1").returncode == 0
        asking.wait_searchable(archive.peer, UID, 1)
        yield archive
        assert archive.stop() == 0
    finally:
        archive.kill()


# ---- what is printed


def test_find_never_folds_a_uid_and_shows_names_and_dates_for_people(archive: RunningArchive) -> None:
    done = gantry("find", archive.address)
    assert done.returncode == 0, done.stderr
    head, line, count = done.stdout.splitlines()
    assert UID in line
    assert "DOE^JANE" in line
    assert "2024-01-31" in line
    assert "StudyInstanceUID" in head
    assert head.index("StudyInstanceUID") == line.index(UID)
    assert "AccessionNumber" not in head
    assert count == "1 match"
    assert "AccessionNumber" in gantry("find", archive.address, "--wide").stdout


def test_find_prints_csv(archive: RunningArchive) -> None:
    done = gantry("find", archive.address, "--csv")
    (row,) = csv.DictReader(StringIO(done.stdout))
    assert (row["StudyInstanceUID"], row["PatientName"], row["StudyDate"]) == (UID, "DOE^JANE", "20240131")


def test_echo_answers_programs(archive: RunningArchive) -> None:
    answer = json.loads(gantry("echo", archive.address, "--json").stdout)
    assert (answer["ae_title"], answer["status"], answer["port"]) == ("GANTRY", "0000", archive.port)


def test_a_search_is_timed_once(archive: RunningArchive) -> None:
    before = archive.metric("gantry_find_seconds_count"), archive.metric("gantry_find_requests_total")
    assert gantry("find", archive.address).returncode == 0
    after = archive.metric("gantry_find_seconds_count"), archive.metric("gantry_find_requests_total")
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 1]


# ---- keys


@pytest.mark.parametrize(
    "key", ["00100020=P1", "0010,0020=P1", "(0010,0020)=P1", "PatientID=P1", "StudyDate=2024-01-31"]
)
def test_keys_are_taken_as_people_write_them(archive: RunningArchive, key: str) -> None:
    done = gantry("find", archive.address, "-k", key)
    assert (done.returncode, done.stdout.splitlines()[-1], done.stderr) == (0, "1 match", "")


@pytest.mark.parametrize("key", ["StudyDate=today", "StudyDate=-7d", "StudyDate=2020-01-01-2020-12-31"])
def test_dates_narrow(archive: RunningArchive, key: str) -> None:
    assert gantry("find", archive.address, "-k", key).stdout == "0 matches\n"


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("patientname=DOE", "did you mean PatientName"),
        ("PatientNam=DOE", "did you mean PatientName"),
        ("Qwertzuiop=1", "neither a DICOM keyword nor a tag"),
        ("StudyDate=2024-13-45", "StudyDate: '2024-13-45' is not a day of the calendar"),
        ("StudyDate=tomorrow", "is not a date"),
    ],
)
def test_keys_that_are_none_are_said_in_words(archive: RunningArchive, key: str, words: str) -> None:
    done = gantry("find", archive.address, "-k", key)
    assert done.returncode == 2
    assert words in re.sub(r"\s+", " ", done.stderr)


def test_keys_that_the_archive_ignored_are_named(archive: RunningArchive) -> None:
    done = gantry("find", archive.address, "-k", "PatientAddress=nowhere")
    assert "gantry: the archive ignored PatientAddress (FF01H" in done.stderr
    assert "1 match" in done.stdout


def test_error_comment_of_a_warning_is_shown() -> None:
    def answer(event: evt.Event) -> Iterator[tuple[Dataset, Dataset]]:
        status, match = Dataset(), Dataset()
        status.Status, status.ErrorComment = 0xFF01, "modality is not indexed here"
        match.StudyInstanceUID = "1.2.3"
        yield status, match

    with Scp("OTHER", handlers=[(evt.EVT_C_FIND, answer)], contexts=[STUDY_ROOT_FIND]) as other:
        done = gantry("find", other.address, "-k", "Modality=ZZ")
    assert "the archive ignored Modality (FF01H" in done.stderr
    assert "modality is not indexed here" in done.stderr


# ---- nothing found


@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_get_of_what_is_not_there_fails(archive: RunningArchive, tmp_path: Path, as_json: tuple[str, ...]) -> None:
    done = gantry("get", archive.address, "-o", tmp_path, "-k", "StudyInstanceUID=1.2.3.4", *as_json)
    assert done.returncode == 1
    assert "the archive has nothing that matches StudyInstanceUID=1.2.3.4" in done.stderr
    assert gantry("get", archive.address, "-o", tmp_path, "-k", f"StudyInstanceUID={UID}", *as_json).returncode == 0


def test_get_of_several_of_which_one_is_not_there_fails_and_names_it(archive: RunningArchive, tmp_path: Path) -> None:
    done = gantry("get", archive.address, "-o", tmp_path, "-k", f"StudyInstanceUID={UID}\\1.2.3.4")
    assert (done.returncode, len(list(tmp_path.iterdir()))) == (1, 1)
    assert done.stderr == "gantry: the archive has nothing that matches StudyInstanceUID=1.2.3.4\n"
    both = f"StudyInstanceUID={UID}\\{UID}"
    assert gantry("get", archive.address, "-o", tmp_path, "-k", both).returncode == 0


@pytest.mark.parametrize("verb", ["reindex", "sweep", "restore"])
def test_upkeep_of_a_folder_that_is_not_there_fails(tmp_path: Path, verb: str) -> None:
    done = gantry(verb, "--data", tmp_path / "typo")
    assert done.returncode == 1
    assert str(tmp_path / "typo") in done.stderr.replace("\n", "")
    assert "no such folder" in done.stderr
    assert not (tmp_path / "typo").exists()


def test_seeding_from_nowhere_fails(tmp_path: Path) -> None:
    with InProcessGantry() as server:
        with pytest.raises(FileNotFoundError, match="typo"):
            server.seed(tmp_path / "typo")
        with pytest.raises(ValueError, match="no DICOM file"):
            server.seed(tmp_path)
        assert len(server.seed(*[f.path for f in study(tmp_path / "sent", 1, size=8)])) == 1


# ---- the wrong port


def test_http_port_is_said_to_be_one(archive: RunningArchive) -> None:
    done = gantry("echo", f"GANTRY@127.0.0.1:{archive.http_port}")
    assert done.returncode == 3
    assert "This port speaks HTTP, not DICOM" in done.stderr


def test_plain_port_is_said_to_speak_no_tls(archive: RunningArchive) -> None:
    done = gantry("echo", archive.address, "--tls-insecure")
    assert done.returncode == 3
    assert "This port does not speak TLS" in done.stderr


def tls_address(archive: RunningArchive) -> str:
    (port,) = re.findall(r'"port": ?(\d+), "tls": ?true|port=(\d+) tls=True', archive.log.read_text())[0:1]
    return f"GANTRY@127.0.0.1:{next(filter(None, port))}"


def test_tls_port_is_said_to_speak_tls(archive: RunningArchive) -> None:
    done = gantry("echo", tls_address(archive))
    assert done.returncode == 3
    assert "add --tls" in done.stderr


def test_missing_certificate_is_said(archive: RunningArchive) -> None:
    done = gantry("echo", tls_address(archive), "--tls-insecure")
    assert done.returncode == 3
    assert "give --tls-cert and --tls-key" in done.stderr


def test_certificate_of_nobody_known_is_said(archive: RunningArchive) -> None:
    done = gantry("echo", tls_address(archive), "--tls")
    assert done.returncode == 3
    assert "--tls-ca" in done.stderr


def test_case_of_the_ae_title_is_hinted_at(archive: RunningArchive) -> None:
    done = gantry("echo", f"gantry@127.0.0.1:{archive.port}")
    assert done.returncode == 3
    assert "upper and lower case differ" in done.stderr


def test_port_that_speaks_first_is_said() -> None:
    server = socket.create_server(("127.0.0.1", 0))

    def speak() -> None:
        with server.accept()[0] as sock:
            sock.sendall(b"SSH-2.0-OpenSSH\r\n")
            sock.recv(1000)

    thread = threading.Thread(target=speak)
    thread.start()
    done = gantry("echo", f"GANTRY@127.0.0.1:{server.getsockname()[1]}", "--timeout", "5")
    thread.join(10)
    server.close()
    assert done.returncode == 3
    assert "SSH" in done.stderr or "spoke before" in done.stderr


# ---- starting


def test_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    archive = RunningArchive(tmp_path)
    archive.folder = tmp_path / "file"  # data in a folder of a file
    archive.start(ready=False)
    assert archive.wait_dead(30) == 1
    log = archive.log.read_text()
    assert f"{tmp_path}/file/data" in log
    assert "cannot be created" in log
    assert "Gantry:" not in log  # no welcome


def test_welcome_comes_when_the_ports_are_taken(archive: RunningArchive, tmp_path: Path) -> None:
    other = RunningArchive(tmp_path)
    other.port = archive.port
    other.start(ready=False)
    assert other.wait_dead(30) == 1
    assert "cannot listen" in other.log.read_text()
    assert "Gantry: every role" not in other.log.read_text()
    assert "Gantry: every role" in archive.log.read_text()


@pytest.mark.parametrize(
    ("setting", "url", "words"),
    [
        ("STORAGE__INDEX", "ftp://x", "opensearch://"),
        ("STORAGE__OBJECTS", "s3://", "s3://NAME"),
        ("STORAGE__LOG", "kafka://user:secret@broker:9092", "no password"),
        ("STORAGE__LOG", "kafka://broker", "HOST:PORT"),
        ("STORAGE__INDEX", "sqlite:relative.db", "sqlite"),
    ],
)
def test_check_config_reads_urls(setting: str, url: str, words: str) -> None:
    done = gantry("serve", "--check-config", env={f"GANTRY_{setting}": url})
    assert done.returncode == 1
    assert words in done.stderr
    assert "secret" not in done.stderr


def test_lists_in_the_environment_need_no_brackets() -> None:
    env = {"GANTRY_DIMSE__PROXY_FROM": "192.0.2.1,192.0.2.64/26", "GANTRY_HTTP__CORS_ORIGINS": "https://a.example"}
    output = gantry("serve", "--print-config", env=env).stdout
    assert "192.0.2.1/32" in output
    assert "192.0.2.64/26" in output
    assert "https://a.example" in output
    bracketed = gantry("serve", "--print-config", env={"GANTRY_DIMSE__PRIVATE_SOP_CLASSES": "[1.2.3, 1.2.4]"}).stdout
    assert "1.2.4" in bracketed


def test_peer_that_is_there_already_is_named_with_its_own_line(tmp_path: Path) -> None:
    config = tmp_path / "gantry.yaml"
    config.write_text("peers:\n  - {ae_title: A, host: 192.0.2.1}\n  - {ae_title: CT1, host: 192.0.2.2}\n")
    done = gantry("ae", "--config", config, "add", "CT1", "--host", "192.0.2.3")
    assert done.returncode == 2
    assert f"{config}:3: AE title CT1 is already in the file" in done.stderr


def test_a_file_that_cannot_be_written_or_a_token_that_is_none_is_said_in_words(
    archive: RunningArchive, tmp_path: Path
) -> None:
    (token := tmp_path / "token").write_bytes(b"\xff\xfe")
    done = gantry("import", archive.address, "--from", "http://127.0.0.1:1", "--from-token-file", token, "--job", token)
    assert (done.returncode, done.stdout) == (3, ""), done.stderr
    done = gantry(
        "import", archive.address, "--aet", "CT1", "--from", "http://127.0.0.1:1", "--from-token-file", token,
        "--job", tmp_path / "job.db",
    )  # fmt: skip
    assert (done.returncode, f"{token} cannot be read" in done.stderr) == (2, True), done.stderr
    done = gantry("import", archive.address, "--from", "x" * 5000, "--job", tmp_path / "job.db")
    assert (done.returncode, "neither a folder" in done.stderr) == (2, True), done.stderr
    done = gantry("get", archive.address, "--aet", "CT1", "-k", f"StudyInstanceUID={UID}", "--out", "/proc/1/x")
    assert (done.returncode, "/proc/1/x: No such file or directory" in done.stderr) == (1, True), done.stderr


def test_whom_nobody_answers_over_http_is_named_without_our_own_objects(tmp_path: Path) -> None:
    port = free_port()
    done = gantry("ae", "list", "--url", f"http://127.0.0.1:{port}")
    assert done.returncode == 3
    assert f"no connection: 127.0.0.1:{port}: Connection refused." in done.stderr
    assert "object at" not in done.stderr


def test_a_term_that_is_nothing_is_refused(tmp_path: Path) -> None:
    for term in ("", "  ", "A\n1"):
        done = gantry("where", "--data", tmp_path, term)
        assert (done.returncode, "give an accession number" in done.stderr) == (2, True), done.stderr


def test_a_file_whose_name_is_no_text_is_stored_and_told(archive: RunningArchive, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/M\xfcller.dcm"))
    path.write_bytes(file_bytes(data_set()))
    done = gantry("store", archive.address, tmp_path, "--aet", "CT1", "--json")
    assert done.returncode == 0, done.stderr
    assert os.fsencode(json.loads(done.stdout)["path"]) == os.fsencode(path)
    path.unlink()
    path.symlink_to("nowhere")
    write(tmp_path, data_set())
    done = gantry("store", archive.address, tmp_path, "--aet", "CT1")
    assert (done.returncode, "1 of 1 stored" in done.stdout) == (1, True), done.stderr
