"""The pictures of docs/page.md, taken of a ward of sixty studies. `make pictures` writes them into docs/images;
otherwise they go into a folder of the test's, and are only looked at for being drawn."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import subprocess
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path

import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset

from gantry.common.dicom.standard.dictionary import TAGS
from tests.e2e.test_viewer_operations import SETTLED, says, section
from tests.support.archive import ROOT, RunningArchive
from tests.support.browser import Page, chromium
from tests.support.dicomweb import ask
from tests.support.objects import file_bytes
from tests.support.operations import OPERATOR, POLICY, Operated, operate, peers
from tests.support.orders import attributes
from tests.support.page import ROWS, TOTAL, fill, opened, put, search, url
from tests.support.rejection_notes import rejection_note
from tests.support.stow import files, post
from tests.support.ward import ward
from tests.support.workitems import MINE, WorkitemsClient, as_json, claim, code, done, workitem
from tests.support.worklist import OrdersClient, ordered, scheduled

PHONE = (390, 844)
LARGEST = 150_000
DRAWN = "document.querySelector('.stage canvas')?.width > 8"
DONE = "Boolean(document.querySelector('.job[data-state=done], .job[data-state=warning]'))"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    fonts = (
        subprocess.run(["fc-list", ":lang=ja"], capture_output=True, text=True, check=False)
        if _has("fc-list")
        else None
    )
    if fonts is None or not fonts.stdout:
        pytest.skip("there is no font for Japanese names (fonts-noto-core and fonts-noto-cjk on Debian)")
    wanted = os.environ.get("GANTRY_PICTURES")
    return Path(wanted) if wanted else tmp_path_factory.mktemp("pictures")


def _has(program: str) -> bool:
    return shutil.which(program) is not None


@pytest.fixture(scope="module")
def archive(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningArchive]:
    chromium()
    result = subprocess.run(["sh", str(ROOT / "deploy/ohif.sh"), "--there"], capture_output=True, text=True, check=True)
    environment = {"GANTRY_HTTP__OHIF": result.stdout.strip()} if result.stdout.strip() else {}
    environment |= {f"GANTRY_HTTP__MAY_{word}": "loopback" for word in ("DELETE", "CORRECT", "HOLD", "SHARE")}
    at = tmp_path_factory.mktemp("ward")
    (at / "secret").write_text("1" * 44)
    running = RunningArchive(at, environment=environment)
    profiles = [f"{{name: {name}, key_file: {at / 'secret'}}}" for name in ("teaching", "trial-7")]
    running.write_policy(
        [],
        f"deidentification: {{profiles: [{', '.join(profiles)}]}}\nsharing: {{key_file: {at / 'secret'}}}\n"
        f"http: {{url: 'http://127.0.0.1:{running.http_port}'}}\n",
    )
    running.start()
    _decide(running, fill(running, 60))
    yield running
    running.stop()


def _decide(archive: RunningArchive, studies: list[Dataset]) -> None:
    """One study is held, and of another an image is rejected."""
    held, rejected = studies[3].StudyInstanceUID, studies[8]
    target = f"{url(archive)}/dicom-web/studies/{held}/holds?reason=A+trial"
    urllib.request.urlopen(urllib.request.Request(target, method="POST"), timeout=30).close()
    assert post(archive, files([file_bytes(rejection_note([rejected]))])).status == 200


async def stated(page: Page) -> None:
    """The states of the studies stand in the list."""
    await page.until("document.querySelectorAll('study-table .stands').length > 1")


@asynccontextmanager
async def themed(archive: RunningArchive, theme: str, address: str = "/") -> AsyncIterator[Page]:
    async with opened(archive, address) as page:
        await page.theme(theme)
        yield page
        page.errors.clear()


async def taken(page: Page, file: Path, size: tuple[int, int] = (1440, 900)) -> None:
    """A picture, when nothing moves any more."""
    await page.until(
        "[...document.images].every(i => i.hidden || i.complete) && !document.querySelector('.row.waiting')"
    )
    await asyncio.sleep(0.6)
    image = Image.open(io.BytesIO(await page.screenshot(file)))
    assert image.size == size
    assert len(set(image.convert("L").tobytes())) > 8
    save([image], file)


def save(images: list[Image.Image], file: Path) -> None:
    """Side by side, with a palette: a third of the bytes."""
    gap = 24
    whole = Image.new("RGB", (sum(i.width for i in images) + gap * (len(images) - 1), images[0].height), "#8a929c")
    left = 0
    for image in images:
        whole.paste(image, (left, 0))
        left += image.width + gap
    for colours in (256, 128, 64, 48):
        whole.quantize(colours, dither=Image.Dither.NONE).save(file, optimize=True)
        if file.stat().st_size < LARGEST:
            return
    raise AssertionError(f"{file.name} is larger than {LARGEST} bytes")


async def test_the_list(archive: RunningArchive, folder: Path) -> None:
    async with themed(archive, "light") as page:
        await page.until(f"{TOTAL} === '60 studies'")
        await stated(page)
        await taken(page, folder / "studies.png")


async def test_the_list_on_a_wide_screen(archive: RunningArchive, folder: Path) -> None:
    async with themed(archive, "dark") as page:
        await page.size(1920, 1080)
        await stated(page)
        await taken(page, folder / "wide.png", (1920, 1080))


async def test_quick_look(archive: RunningArchive, folder: Path) -> None:
    async with themed(archive, "light") as page:
        await page.until(f"{TOTAL} === '60 studies'")
        await page.press("ArrowDown", "Space")
        await page.until(DRAWN)
        await taken(page, folder / "quick-look.png")


async def test_the_page_of_a_study_in_the_dark(archive: RunningArchive, folder: Path) -> None:
    async with themed(archive, "dark") as page:
        await page.press("ArrowDown", "ArrowDown", "Enter")
        await page.until(DRAWN)
        await page.until("document.querySelectorAll('.tags tbody tr').length > 5")
        await taken(page, folder / "study.png")


async def test_a_selection_and_an_upload(archive: RunningArchive, folder: Path, tmp_path: Path) -> None:
    files = []
    for number, made in enumerate(next(ward(date.today(), 1))[:3]):
        files.append(tmp_path / f"IM{number:04}.dcm")
        files[-1].write_bytes(file_bytes(made))
    text, other = tmp_path / "readme.txt", tmp_path / "IM0003.dcm"
    text.write_text("no image")
    files[2].write_bytes(files[2].read_bytes()[:-500])
    again = pydicom.dcmread(files[0])
    again.PatientComments = "sent once more, and changed"
    again.save_as(other)
    async with themed(archive, "dark") as page:
        await page.press("ArrowDown", "Shift+ArrowDown", "Shift+ArrowDown")
        await page.choose_files("#files", [*files, text, other])
        await page.until(DONE)
        await taken(page, folder / "actions.png")


@pytest.mark.parametrize(("key", "dialog", "theme"), [("c", "correct", "light"), ("Delete", "delete", "dark")])
async def test_a_dialog_of_a_change(archive: RunningArchive, folder: Path, key: str, dialog: str, theme: str) -> None:
    async with themed(archive, theme) as page:
        await page.press("ArrowDown", "x")
        await page.until(f"document.querySelector('action-bar').innerText.includes('{dialog.capitalize()} …')")
        await page.press(key)
        await page.until(f"document.querySelector('#{dialog}').open")
        await page.type(f"#{dialog}-reason", "Wrong patient was chosen")
        await taken(page, folder / f"{dialog}.png")


@pytest.mark.parametrize(("name", "theme"), [("deidentify", "light"), ("share", "dark")])
async def test_a_dialog_of_what_leaves(archive: RunningArchive, folder: Path, name: str, theme: str) -> None:
    button, dialog, reason = {
        "deidentify": ("De-identify …", "#op-why", "#op-reason"),
        "share": ("Share …", "#share", "#share label input"),
    }[name]
    async with themed(archive, theme) as page:
        await page.press("ArrowDown", "x", "ArrowDown", "x")
        await page.until(f"document.querySelector('action-bar').innerText.includes('{button}')")
        await page.press_button(button)
        await page.until(f"document.querySelector('{dialog}')?.open")
        await page.type(reason, "autumn course, radiographers")
        await taken(page, folder / f"{name}.png")


async def test_images_are_rejected(archive: RunningArchive, folder: Path) -> None:
    async with themed(archive, "light") as page:
        await page.press("ArrowDown", "ArrowDown", "Enter")
        await page.until(DRAWN)
        await page.evaluate("document.querySelector('[aria-label^=\"Reject series\"]').click()")
        await page.until("document.querySelector('#reject')?.open")
        await page.evaluate("document.querySelector('#reject .parts button')?.click()")
        await page.type("#reject-words", "the patient moved")
        await taken(page, folder / "reject.png")


async def test_a_search_that_finds_nothing(archive: RunningArchive, folder: Path) -> None:
    async with themed(archive, "light") as page:
        await search(page, "okafor amara mr last week acc:A20*")
        await page.until("Boolean(document.querySelector('.message'))")
        await taken(page, folder / "no-match.png")


async def test_an_archive_that_is_empty_and_one_with_a_single_study(folder: Path, tmp_path: Path) -> None:
    chromium()
    archive = RunningArchive(tmp_path).start()
    try:
        empty = "Boolean(document.querySelector('#empty'))"
        async with opened(archive, ready=empty) as page:
            await page.theme("light")
            await taken(page, folder / "empty.png")
        await asyncio.to_thread(put, archive, next(ward(date.today(), 1)))
        async with themed(archive, "light") as page:
            await page.until(f"{TOTAL} === '1 study'")
    finally:
        archive.stop()


@pytest.fixture(scope="module")
def operated(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningArchive, Operated]]:
    chromium()
    at = tmp_path_factory.mktemp("operated")
    running = RunningArchive(at, environment=OPERATOR, lab=False)
    running.write_policy(peers(running), POLICY)
    running.start()
    fill(running, 20)
    yield running, asyncio.run(operate(running, at))
    running.stop()


@pytest.mark.parametrize(
    ("name", "address", "theme", "until"),
    [
        ("operations", "health", "light", "All processes are ready"),
        ("where", "where?term=ACCESSION", "dark", "Committed"),
        ("conflict", "conflicts/CONFLICT", "light", "attributes differ"),
        ("peers", "peers", "light", "Copy a rule"),
    ],
)
async def test_a_section_of_operations(
    operated: tuple[RunningArchive, Operated], folder: Path, name: str, address: str, theme: str, until: str
) -> None:
    archive, subject = operated
    address = address.replace("ACCESSION", subject.accession).replace("CONFLICT", subject.conflict)
    async with section(archive, address) as page:
        await page.theme(theme)
        await says(page, until)
        if name == "peers":
            await page.evaluate("document.querySelector('button[aria-label=\"Test GANTRY\"]').click()")
            await says(page, "answers (")
        await taken(page, folder / f"{name}.png")
        page.errors.clear()


async def test_operations_on_a_phone(operated: tuple[RunningArchive, Operated], folder: Path) -> None:
    archive, subject = operated
    shots = []
    for address, theme in (("health", "light"), (f"where?term={subject.accession}", "light"), ("holds", "dark")):
        async with section(archive, address) as page:
            await page.theme(theme)
            await page.size(*PHONE, phone=True)
            await page.until("innerWidth <= 390")
            shots.append(await phone(page))
            page.errors.clear()
    save(shots, folder / "operations-phone.png")


async def test_on_a_phone(archive: RunningArchive, folder: Path) -> None:
    async with themed(archive, "light") as page:
        await page.size(*PHONE, phone=True)
        await page.reload()
        await page.until(f"{ROWS}.length > 3")
        shots = [await phone(page)]
        await page.tap(".body .row[aria-rowindex='3'] .link")
        await page.until(DRAWN)
        shots.append(await phone(page))
        await page.theme("dark")
        await page.tap(".study-actions .primary")
        await page.until(f"document.querySelector('study-page .stage') && {DRAWN}")
        shots.append(await phone(page))
        save(shots, folder / "phone.png")


async def phone(page: Page) -> Image.Image:
    await asyncio.sleep(1.0)
    image = Image.open(io.BytesIO(await page.screenshot(Path(os.devnull))))
    assert image.size == PHONE
    return image.convert("RGB")


DAY = (
    ("07:30", "Okafor^Chidi", "M", "CT", "CT1", "CT of the chest", "COMPLETED"),
    ("08:00", "Lindqvist^Astrid", "F", "MR", "MR1", "MR of the knee", "COMPLETED"),
    ("08:20", "García^Lucía", "F", "MG", "MG1", "Mammography", "STARTED"),
    ("08:45", "Öz^Ayşe", "F", "CT", "CT1", "CT of the abdomen", "STARTED"),
    ("09:15", "Novak^Petr", "M", "US", "US1", "US of the liver", "ARRIVED"),
    ("09:30", "Schmidt^Greta", "F", "MR", "MR1", "MR of the head", "SCHEDULED"),
    ("10:00", "Rossi^Paolo", "M", "DX", "DX1", "Chest, two views", "SCHEDULED"),
    ("10:30", "Dubois^Camille", "F", "CT", "CT1", "CT angiography", "CANCELLED"),
)


@pytest.mark.parametrize(("name", "theme"), [("worklist", "light"), ("order", "dark")])
async def test_the_worklist(folder: Path, tmp_path: Path, name: str, theme: str) -> None:
    chromium()
    archive = RunningArchive(tmp_path)
    archive.write_policy([], "http: {may_order: [loopback], may_correct: [loopback]}\n")
    archive.start()
    try:
        orders = OrdersClient(archive)
        for number, (at, patient, sex, modality, station, procedure, becomes) in enumerate(DAY, 4711):
            step = scheduled(
                Modality=modality,
                ScheduledStationAETitle=station,
                ScheduledProcedureStepStartDate=date.today().strftime("%Y%m%d"),
                ScheduledProcedureStepStartTime=at.replace(":", "") + "00",
                ScheduledProcedureStepDescription=procedure,
                ScheduledProcedureStepStatus=becomes if becomes in ("ARRIVED", "STARTED") else "SCHEDULED",
            )
            orders.place(
                ordered(number, step, PatientName=patient, PatientSex=sex, RequestedProcedureDescription=procedure)
            )
            if becomes == "CANCELLED":
                orders.ask("DELETE", f"/A{number}?reason=Patient+did+not+come")
        address = "/worklist/orders?state=" if name == "worklist" else "/worklist/orders/A4714"
        async with opened(archive, address, ready=SETTLED) as page:
            await page.theme(theme)
            await taken(page, folder / f"{name}.png")
            page.errors.clear()
    finally:
        archive.stop()


WORK = (
    ("08:00", "Okafor^Chidi", "Segment the liver", "LIVER", "HIGH", "COMPLETED"),
    ("08:40", "Lindqvist^Astrid", "Segment the knee", "KNEE", "MEDIUM", "CANCELED"),
    ("09:10", "García^Lucía", "Density of the breast", "BREAST", "HIGH", "IN PROGRESS"),
    ("09:15", "山田^太郎", "Segment the liver", "LIVER", "MEDIUM", "IN PROGRESS"),
    ("09:30", "Novak^Petr", "Quality of the images", "QUALITY", "LOW", "SCHEDULED"),
    ("10:00", "Öz^Ayşe", "Segment the liver", "LIVER", "MEDIUM", "SCHEDULED"),
)


@pytest.mark.parametrize(("name", "theme"), [("workitems", "dark"), ("workitem", "light")])
async def test_workitems(folder: Path, tmp_path: Path, name: str, theme: str) -> None:
    chromium()
    archive = RunningArchive(tmp_path)
    archive.write_policy([], "http: {may_order: [loopback], may_delete: [loopback]}\n")
    archive.start()
    try:
        client = WorkitemsClient(archive.http_port)
        for number, (at, patient, label, worklist, priority, becomes) in enumerate(WORK, 1):
            uid, start = f"1.2.840.99.{number}", date.today().strftime("%Y%m%d") + at.replace(":", "") + "00"
            made = workitem(
                PatientName=patient, PatientID=f"P{number}", ProcedureStepLabel=label, WorklistLabel=worklist,
                ScheduledProcedureStepPriority=priority, ScheduledProcedureStepStartDateTime=start,
            )  # fmt: skip
            reference = attributes(TypeOfInstances="DICOM", StudyInstanceUID=f"{uid}.1", SeriesInstanceUID=f"{uid}.1.2")
            reference[TAGS["ReferencedSOPSequence"]] = [
                attributes(ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.2", ReferencedSOPInstanceUID=f"{uid}.1.2.{n}")
                for n in range(200)
            ]
            made[TAGS["InputInformationSequence"]] = [reference]
            made[TAGS["ScheduledStationNameCodeSequence"]] = [code("GPU1", "Reading room, GPU 1")]
            assert client.ask("POST", f"?{uid}", as_json(made))[0] == 201
            if becomes == "CANCELED":
                client.ask("POST", f"/{uid}/cancelrequest")
            elif becomes != "SCHEDULED":
                changes = done() | {
                    TAGS["ProcedureStepProgressInformationSequence"]: [
                        attributes(ProcedureStepProgress="65", ProcedureStepProgressDescription="slice 130 of 200")
                    ]
                }
                item = changes[TAGS["UnifiedProcedureStepPerformedProcedureSequence"]][0]
                item[TAGS["OutputInformationSequence"]] = [reference]
                item[TAGS["PerformedProcedureStepStartDateTime"]] = [start]
                item[TAGS["PerformedProcedureStepEndDateTime"]] = [start] if becomes == "COMPLETED" else []
                assert client.ask("PUT", f"/{uid}/state", claim())[0] == 200
                status, answer, _ = client.ask("POST", f"/{uid}?{MINE}", as_json(changes))
                assert status == 200, answer
                if becomes == "COMPLETED":
                    assert client.ask("PUT", f"/{uid}/state", claim(wanted=becomes))[0] == 200
        address = "/worklist/workitems?state=" if name == "workitems" else "/worklist/workitems/1.2.840.99.3"
        async with opened(archive, address, ready=SETTLED) as page:
            await page.theme(theme)
            await taken(page, folder / f"{name}.png")
            page.errors.clear()
    finally:
        archive.stop()


async def test_the_audit_trail(folder: Path, tmp_path: Path) -> None:
    chromium()
    archive = RunningArchive(tmp_path)
    archive.write_policy([], "http: {may_operate: [loopback], may_correct: [loopback]}\n")
    archive.start()
    try:
        uid = str((await asyncio.to_thread(fill, archive, 6))[0].StudyInstanceUID)
        for resource in ("metadata", "series", "instances"):
            await asyncio.to_thread(ask, archive, f"/dicom-web/studies/{uid}/{resource}")
        await asyncio.to_thread(ask, archive, f"/dicom-web/studies/{uid}/rendered")
        await asyncio.to_thread(ask, archive, "/dicom-web/studies?PatientName=Novak*")
        async with opened(archive, "/audit", ready=SETTLED) as page:
            for _ in range(40):
                if "Saw" in await page.evaluate("document.querySelector('other-place .section').innerText"):
                    break
                await asyncio.sleep(0.5)
                await page.press_button("Find")
            await taken(page, folder / "audit.png")
            page.errors.clear()
    finally:
        archive.stop()


async def test_emergency_access(folder: Path, tmp_path: Path) -> None:
    chromium()
    archive = RunningArchive(tmp_path)
    (tmp_path / "tokens").write_text("jane:0123456789abcdef-jane roles=referrer\n")
    (tmp_path / "overrides").write_text("1" * 44)
    settings = f"override_key_file: {tmp_path / 'overrides'}, roles: ['referrer=read,override']"
    archive.write_policy([], f"access: {{{settings}}}\nhttp: {{tokens_file: {tmp_path / 'tokens'}}}\n")
    archive.start()
    try:
        patient = str((await asyncio.to_thread(fill, archive, 6))[0].PatientID)
        async with opened(archive) as page:
            await page.evaluate("sessionStorage.setItem('token', '0123456789abcdef-jane')")
            await page.reload()
            await page.until("document.body.dataset.ready")
            await page.press_button("Emergency", of="gantry-rail button")
            await page.until("document.querySelector('#emergency')?.open")
            await page.type("#emergency-patient", patient)
            await page.type("#emergency-reason", "found unconscious, earlier images needed")
            await page.press_button("Open", of="#emergency button")
            await page.until("!document.querySelector('emergency-banner').hidden")
            await page.press("ArrowDown")
            await taken(page, folder / "emergency.png")
            page.errors.clear()
    finally:
        archive.stop()
