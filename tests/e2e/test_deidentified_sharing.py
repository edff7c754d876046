"""Links to de-identified copies, on a real archive in both topologies: nothing that a visitor is answered names
anybody, in no body, header, address or file name."""

from __future__ import annotations

import asyncio
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pydicom
import pytest

from gantry.common.deidentify.pseudonyms import Pseudonyms
from gantry.common.dicom.encoding.part10 import file_meta
from gantry.common.dicom.standard.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN, encoding_of
from tests.support.archive import RunningArchive
from tests.support.browser import browser, chromium
from tests.support.door import FrontDoor
from tests.support.elements import CT
from tests.support.marks import Marked, mark
from tests.support.objects import data_set, file_bytes
from tests.support.sharing import Answer, Ward, filled, gantry, until
from tests.support.stow import files, post
from tests.support.topology import TOPOLOGIES, environment, remove_stores
from tests.unit.common.deidentify.test_objects import searched

pytestmark = pytest.mark.timeout(240)
KEY = b"a key of the tests, long enough"
NAMES = Pseudonyms(KEY)
STUDY, OTHER = "1.2.77.1", "1.2.77.2"
MACHINE = {"Authorization": "Bearer 0123456789abcdef-machine"}
SECRETS = (b"Brenner", b"47110815", b"ACC-SECRET", b"WARD-NINE", b"1.2.77.")
SETTINGS = """deidentification:
  profiles:
    - {{name: teaching, key_file: {folder}/key}}
    - {{name: same-uids, key_file: {folder}/key, retain: [uids]}}
"""
CONTENT = Marked(encoding_of(EXPLICIT_LITTLE_ENDIAN)).data
MARKED_STUDY = mark(0x0020000D).decode().strip("\0")


def someone(study: str, number: int, **more: object) -> bytes:
    uids = {"study": study, "series": f"{study}.{number % 2}", "instance": f"{study}.9.{number}"}
    ds = data_set(number=number, patient="47110815", name="Brenner^Jo", **uids, **more)  # type: ignore[arg-type]
    ds.AccessionNumber, ds.InstitutionName, ds.StudyDescription = "ACC-SECRET", "WARD-NINE", "of Brenner"
    ds.private_block(0x0009, "BRENNER", create=True).add_new(0x01, "LO", "Brenner 47110815")
    return file_bytes(ds)


@pytest.fixture(scope="module", params=TOPOLOGIES)
def ward(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    folder: Path = tmp_path_factory.mktemp("copies")
    archive = RunningArchive(folder, lab=False, environment=environment(request.param, folder))
    (folder / "key").write_bytes(KEY)
    try:
        fixture = filled(archive, folder, SETTINGS.format(folder=folder))
        made = [*(someone(STUDY, number) for number in range(3)), someone(STUDY, 9, BurnedInAnnotation="YES")]
        made += [someone(OTHER, number) for number in range(2)]
        made.append(file_meta(CT, mark(0x00080018).decode().strip("\0"), EXPLICIT_LITTLE_ENDIAN) + CONTENT)
        stored = post(archive, files(made), **MACHINE)
        assert stored.status in (200, 202), stored.body
        until(lambda: {STUDY, OTHER, MARKED_STUDY} <= fixture.find_studies(MACHINE))
        yield fixture
        assert archive.alive, archive.log.read_text()
    finally:
        archive.stop()
        remove_stores(archive.environment)


def opened(ward: Ward, *studies: str, **fields: object) -> tuple[str, dict[str, str]]:
    """The name of a link that shows copies, and what a browser brings that it let in."""
    share, path = ward.shared("doc", *studies, deidentify="teaching", **fields)
    until(lambda: ward.send(path).status == 200)
    answer = ward.enter(path)
    assert answer.status == 303, answer.body
    require_nobody(answer)
    return share, {"Cookie": answer.cookie}


def require_nobody(answer: Answer) -> Answer:
    """Nothing in an answer is known of the patient."""
    whole = answer.body + b"\n".join(f"{name}: {value}".encode() for name, value in answer.headers.items())
    leaks = [secret for secret in SECRETS if secret in whole]
    # Short values of the marks stand anywhere, by chance.
    leaks += [value for value in searched(CONTENT).values() if len(value) > 8 and value in whole]
    assert leaks == [], (leaks, whole[:2000])
    assert b"MARK" not in whole
    return answer


def asked(ward: Ward, brings: dict[str, str], path: str, accept: str = "application/dicom+json") -> Answer:
    answer = ward.send(path, headers={**brings, "Accept": accept})
    return require_nobody(answer)


def test_nothing_that_a_visitor_is_answered_names_anybody(ward: Ward) -> None:
    _, brings = opened(ward, STUDY, MARKED_STUDY, download=True)
    study, marked = NAMES.uid(STUDY), NAMES.uid(MARKED_STUDY)
    root = f"/dicom-web/studies/{study}"
    for level, count in (("studies", 2), ("series", 3), ("instances", 4)):
        rows = json.loads(asked(ward, brings, f"/dicom-web/{level}?includefield=all").body)
        assert len(rows) == count, level
        assert {row["0020000D"]["Value"][0] for row in rows} == {study, marked}
    instances = json.loads(asked(ward, brings, f"{root}/instances?includefield=all").body)
    assert len(instances) == 3
    metadata = json.loads(asked(ward, brings, f"{root}/metadata").body)
    assert {instance["00100020"]["Value"][0] for instance in metadata} == {NAMES.patient("47110815")}
    assert json.loads(asked(ward, brings, f"/dicom-web/studies/{marked}/metadata").body)[0]["00120062"]["Value"] == [
        "YES"
    ]
    links = set(re.findall(r'"(?:BulkDataURI|00081190)":\s*(?:\{[^}]*"Value":\s*\[)?"([^"]+)"', json.dumps(metadata)))
    for instance in instances:
        series, uid = instance["0020000E"]["Value"][0], instance["00080018"]["Value"][0]
        at = f"{root}/series/{series}/instances/{uid}"
        for path, accept in (
            (f"{at}/metadata", "application/dicom+json"),
            (f"{at}/rendered", "image/png"),
            (f"{at}/rendered", "image/jpeg"),
            (f"{at}/thumbnail", "image/jpeg"),
            (f"{at}/frames/1", 'multipart/related; type="application/octet-stream"'),
            (f"{at}/bulkdata/7FE00010", "*/*"),
            (at, 'multipart/related; type="application/dicom"'),
            (f"{root}/series/{series}", 'multipart/related; type="application/dicom"'),
            (f"{root}/series/{series}/thumbnail", "image/jpeg"),
            (f"/wado?requestType=WADO&studyUID={study}&seriesUID={series}&objectUID={uid}", "*/*"),
            (f"/wado?requestType=WADO&studyUID={study}&seriesUID={series}&objectUID={uid}"
             "&contentType=application/dicom", "*/*"),
        ):  # fmt: skip
            assert asked(ward, brings, path, accept).status == 200, path
    for link in links:
        path = re.sub(r"^https?://[^/]+", "", link)
        assert asked(ward, brings, path, "*/*").status == 200, link
    packed = asked(ward, brings, root, "application/zip")
    with ZipFile(io.BytesIO(packed.body)) as archive:
        read = [pydicom.dcmread(io.BytesIO(archive.read(name))) for name in archive.namelist()]
        assert not any(secret.decode() in name for name in archive.namelist() for secret in SECRETS)
    assert {ds.SOPInstanceUID for ds in read} == {NAMES.uid(f"{STUDY}.9.{number}") for number in range(3)}
    assert {ds.PatientIdentityRemoved for ds in read} == {"YES"}
    assert all(ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID for ds in read)
    assert asked(ward, brings, f"/?study={study}", "text/html").status == 200
    for wrong in (
        f"{root}/series/1.2.3",
        f"{root}/metadata?x=1",
        f"{root}/nothing",
        "/dicom-web/studies/2.25.1/metadata",
    ):
        asked(ward, brings, wrong)


def test_what_the_archive_knows_is_not_there_by_such_a_link_however_it_is_asked_for(ward: Ward) -> None:
    _, brings = opened(ward, STUDY, download=True)
    for query in (
        f"StudyInstanceUID={STUDY}",
        "PatientID=47110815",
        "PatientName=Brenner*",
        "AccessionNumber=ACC-SECRET",
    ):
        answer = ward.send(f"/dicom-web/studies?{query}", headers=brings)
        assert (answer.status, json.loads(answer.body or b"[]")) == (200, []), query
    for path in ("metadata", f"series/{STUDY}.1", f"series/{STUDY}.1/instances/{STUDY}.9.1", "rendered", "thumbnail"):
        assert ward.send(f"/dicom-web/studies/{STUDY}/{path}", headers=brings).status == 404, path
    # Neither are the other study, what was withheld, and the copies of another link.
    assert ward.find_studies(brings) == {NAMES.uid(STUDY)}
    assert len(json.loads(ward.send("/dicom-web/instances", headers=brings).body)) == 3
    _, others = opened(ward, OTHER)
    assert ward.find_studies(others) == {NAMES.uid(OTHER)}
    # And nobody else finds copies.
    for query in ("", f"?StudyInstanceUID={NAMES.uid(STUDY)}"):
        matches = json.loads(ward.send(f"/dicom-web/studies{query}", headers=MACHINE).body or b"[]")
        assert NAMES.uid(STUDY) not in {match["0020000D"]["Value"][0] for match in matches}


def test_who_looks_after_links_sees_what_is_shown_and_what_is_withheld(ward: Ward) -> None:
    share, _ = opened(ward, STUDY)
    row = ward.listed("doc", share)
    assert row is not None
    assert (row["studies"], row["deidentifiedBy"], row["copied"], row["state"]) == ([STUDY], "teaching", 3, "open")
    assert row["withheld"] == ["1 withheld: Burned In Annotation says that text is in its pixels"]


@pytest.mark.parametrize(
    ("profile", "words"), [("nobody", b"no profile of"), ("same-uids", b"keeps UIDs"), (7, b"the name of a profile")]
)
def test_profile_that_cannot_be_shared_by_is_refused_in_words(ward: Ward, profile: object, words: bytes) -> None:
    asks = {"studies": [STUDY], "expires": "2020-01-01T00:00:00Z", "reason": "teaching", "deidentify": profile}
    asks["expires"] = "2026-12-05T00:00:00Z" if not isinstance(profile, int) else asks["expires"]
    from datetime import UTC, datetime, timedelta

    asks["expires"] = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    answer = ward.ask("doc", "/dicom-web/shares", "POST", asks)
    assert (answer.status, words in answer.body) == (400, True), answer.body


def test_command_makes_such_a_link_too(ward: Ward) -> None:
    code, out, err = gantry(ward, "create", OTHER, "--deidentify", "teaching", "--reason", "teaching", "--json")
    assert code == 0, err
    path = "/s/" + json.loads(out)["link"].rpartition("/")[2]
    until(lambda: ward.send(path).status == 200)
    assert ward.find_studies(ward.let_in(path)) == {NAMES.uid(OTHER)}
    code, _, err = gantry(ward, "create", OTHER, "--deidentify", "nobody", "--reason", "teaching")
    assert (code, "no profile of" in err) == (1, True)


def test_reads_are_on_record_by_the_study_that_the_archive_has(ward: Ward) -> None:
    share, brings = opened(ward, OTHER)
    assert ward.reads(f"{NAMES.uid(OTHER)}/metadata", brings) == 200

    def recorded() -> bool:
        code, out, _ = gantry(ward, "list", "--by", f"share link {share}", "--json", command="audit")
        return code == 0 and OTHER in out and NAMES.uid(OTHER) not in out

    until(recorded)


DOWNLOAD = "/dicom-web/studies/{}/deidentified?profile={}&reason=autumn+course"


def test_copies_are_downloaded_and_name_nobody(ward: Ward) -> None:
    made = [ward.ask("doc", DOWNLOAD.format(study, "teaching")) for study in (STUDY, MARKED_STUDY)]
    for answer, count in zip(made, (3, 1), strict=True):
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/zip"), answer.body
        require_nobody(answer)
        with ZipFile(io.BytesIO(answer.body)) as archive:
            assert archive.testzip() is None
            names = archive.namelist()
            assert (names[-1], len(names)) == ("README.TXT", count + 1)
            read = [pydicom.dcmread(io.BytesIO(archive.read(name))) for name in names[:-1]]
            readme = archive.read("README.TXT").decode()
        assert [f"{ds.StudyInstanceUID}/{ds.SeriesInstanceUID}/{ds.SOPInstanceUID}.dcm" for ds in read] == names[:-1]
        assert all(ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID for ds in read)
        assert {ds.PatientIdentityRemoved for ds in read} == {"YES"}
    # The one that says that somebody is named in its pixels was left out; the last of them by the first study.
    with ZipFile(io.BytesIO(made[0].body)) as archive:
        readme = archive.read("README.TXT").decode()
        read = [pydicom.dcmread(io.BytesIO(archive.read(name))) for name in archive.namelist()[:-1]]
    assert "by the profile teaching (PS3.15 Annex E): 3 objects." in readme
    assert "1 withheld: " in readme
    assert {ds.StudyInstanceUID for ds in read} == {NAMES.uid(STUDY)}
    assert {ds.PatientID for ds in read} == {NAMES.patient("47110815")}
    counted = 'gantry_deidentified_downloads_total{{result="{}"}}'
    assert ward.archive.metric(counted.format("sent")) >= 4
    assert ward.archive.metric(counted.format("withheld")) >= 1

    def recorded() -> bool:
        code, out, _ = gantry(ward, "list", "--by", "doc", "--json", command="audit")
        records = [json.loads(line) for line in out.splitlines() if STUDY in line and "deidentified" in line]
        return code == 0 and any("autumn course" in str(row) and "teaching" in str(row) for row in records)

    until(recorded)


def test_a_download_of_copies_is_refused_in_words(ward: Ward) -> None:
    burned = "1.2.77.6"
    made = [someone(burned, number, BurnedInAnnotation="YES") for number in range(2)]
    assert post(ward.archive, files(made), **MACHINE).status == 200
    until(lambda: burned in ward.find_studies(MACHINE))
    for user, path, status, words in (
        ("doc", DOWNLOAD.format(burned, "teaching"), 409, "nothing of it can be de-identified: 2 withheld: "),
        ("doc", DOWNLOAD.format("1.2.77.404", "teaching"), 404, ""),
        ("doc", DOWNLOAD.format(STUDY, "no"), 400, "profile: one of same-uids, teaching"),
        ("doc", f"/dicom-web/studies/{STUDY}/deidentified?profile=teaching", 400, "reason: say for whom"),
        ("doc", f"/dicom-web/studies/{STUDY}/deidentified?profile=teaching&reason=%0a{'x' * 300}", 400, "one line"),
        ("tech", DOWNLOAD.format(STUDY, "teaching"), 403, ""),
    ):
        answer = ward.ask(user, path)
        assert (answer.status, words in answer.body.decode()) == (status, True), (path, answer.body)
        assert b"Brenner" not in answer.body
    assert ward.ask("doc", DOWNLOAD.format(STUDY, "teaching"), "POST").status == 405
    # Whom a link let in has no other way to what it shows.
    _, brings = opened(ward, STUDY)
    assert ward.send(DOWNLOAD.format(NAMES.uid(STUDY), "teaching"), headers=brings).status in (403, 404)
    offered = {
        user: json.loads(ward.ask(user, "/dicom-web/permissions").body)["deidentify"] for user in ("doc", "tech")
    }
    assert offered == {"doc": ["same-uids", "teaching"], "tech": []}


def test_what_leaves_the_archive_leaves_the_link_and_a_link_that_is_over_leaves_nothing(ward: Ward) -> None:
    gone = "1.2.77.5"
    assert post(ward.archive, files([someone(gone, number) for number in range(2)]), **MACHINE).status == 200
    until(lambda: gone in ward.find_studies(MACHINE))
    share, brings = opened(ward, gone, OTHER)
    assert ward.find_studies(brings) == {NAMES.uid(gone), NAMES.uid(OTHER)}
    deleted = gantry_delete(ward, gone)
    assert deleted[0] == 0, deleted
    until(lambda: ward.find_studies(brings) == {NAMES.uid(OTHER)}, seconds=10)
    assert ward.reads(f"{NAMES.uid(gone)}/metadata", brings) == 404
    assert ward.reads(f"{NAMES.uid(OTHER)}/metadata", brings) == 200
    assert ward.ask("doc", f"/dicom-web/shares/{share}?reason=over", "DELETE").status == 204
    until(lambda: ward.found_status(brings) == 403, seconds=4)
    if not ward.archive.environment:
        until(lambda: not list((ward.folder / "data").rglob(f"shared-copies/{share}/*")), seconds=20)


def test_every_process_behind_the_door_shows_the_copies_that_one_of_them_made(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(KEY)
    door = FrontDoor(tmp_path, scale={"query": 2, "retrieve": 2})
    try:
        ward = filled(door, tmp_path, SETTINGS.format(folder=tmp_path))
        share, brings = opened(ward, "1.2.9.1", download=True)
        uid = NAMES.uid("1.2.9.1")
        for _ in range(4):
            assert ward.find_studies(brings) == {uid}
            for read in ("{0}/metadata", "{0}/rendered", "{0}/thumbnail", "{0}/instances", "{0}"):
                assert ward.reads(read.format(uid), brings) == 200, read
                # A search of what is not there is empty; the rest is missing.
                answer = ward.send(f"/dicom-web/studies/{read.format('1.2.9.1')}", headers=brings)
                assert (answer.status, answer.body) == (200, b"[]") or answer.status == 404, read
        assert ward.ask("doc", f"/dicom-web/shares/{share}", "DELETE").status == 204
        until(lambda: ward.found_status(brings) == 403, seconds=4)
    finally:
        assert door.stop() == 0


async def test_somebody_outside_sees_a_picture_and_no_name_on_the_page(ward: Ward) -> None:
    chromium()
    _, path = ward.shared("doc", STUDY, deidentify="teaching")
    await asyncio.to_thread(until, lambda: ward.send(path).status == 200)
    async with browser() as page:
        await page.size(390, 844, phone=True)
        await page.open(f"http://127.0.0.1:{ward.archive.http_port}{path}")
        await page.until("document.querySelector('form button') !== null")
        await page.evaluate("document.querySelector('button').click()")
        await page.until(f"location.search === '?study={NAMES.uid(STUDY)}' && location.pathname === '/'")
        await page.until(
            "(() => { const c = document.querySelector('.stage canvas'); return c !== null && c.width > 8; })()"
        )
        seen = (await page.evaluate("document.documentElement.outerHTML")).encode()
        assert [secret for secret in SECRETS if secret in seen] == []
        assert NAMES.patient("47110815").encode() in seen


def gantry_delete(ward: Ward, study: str) -> tuple[int, str, str]:
    return gantry(ward, study, "--reason", "a test", command="delete")
