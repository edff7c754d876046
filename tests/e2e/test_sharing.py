"""Links for people outside on a real archive: who is admitted, what is visible, and what is audited."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gantry.common.access.shares import digest_of
from tests.support.archive import RunningArchive
from tests.support.browser import browser, chromium
from tests.support.door import FrontDoor
from tests.support.objects import data_set, file_bytes
from tests.support.sharing import (
    FORM,
    JSON,
    OBJECTS,
    PASSWORD,
    READS,
    REASON,
    SEVERAL,
    Ward,
    filled,
    gantry,
    until,
)
from tests.support.stow import files, post
from tests.support.topology import TOPOLOGIES, environment, remove_stores


@pytest.fixture(scope="module", params=TOPOLOGIES)
def ward(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    folder: Path = tmp_path_factory.mktemp("share")
    archive = RunningArchive(folder, lab=False, environment=environment(request.param, folder))
    try:
        yield filled(archive, folder)
        assert archive.alive, archive.log.read_text()
    finally:
        archive.stop()
        remove_stores(archive.environment)


def test_link_leads_to_its_study_and_leaves_the_address(ward: Ward) -> None:
    _, path = ward.shared()
    page = ward.send(path)
    assert (page.status, b"<form method" in page.body, b"<script" in page.body) == (200, True, False)
    for word in (b"P1", b"1.2.9", REASON.encode()):
        assert word not in page.body
    for answer in (page, ward.enter(path)):
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"
    entered = ward.enter(path)
    assert (entered.status, entered.headers["Location"]) == (303, "/?study=1.2.9.1")
    cookie = entered.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert path.rpartition("/")[2] not in cookie
    brings = {"Cookie": entered.cookie}
    assert ward.send("/?study=1.2.9.1", headers=brings).status == 200
    assert ward.find_studies(brings) == {"1.2.9.1"}
    for read in READS:
        assert ward.reads(read.format("1.2.9.1"), brings) == 200, read


def test_other_studies_are_not_there_and_nothing_that_is_not_seen_is_counted(ward: Ward) -> None:
    brings = ward.let_in(ward.shared("doc", "1.2.9.1", "1.2.9.3")[1])
    for search in ("studies", "series", "instances", "studies?PatientID=P*", SEVERAL):
        seen = ward.find_studies(brings, search)
        assert seen <= {"1.2.9.1", "1.2.9.3"}, search
        assert "1.2.9.1" in seen, search
    assert json.loads(ward.send("/dicom-web/studies/count", headers=brings).body)["count"] == 2
    for read in (*READS, *OBJECTS):
        # A search of what is not there is empty; the rest is missing, or not for visitors.
        answer = ward.send(f"/dicom-web/studies/{read.format('1.2.9.2')}", headers=brings)
        assert (answer.status, answer.body) == (200, b"[]") or answer.status in (403, 404), read


def test_visitor_changes_nothing_and_has_no_other_route(ward: Ward) -> None:
    _, path = ward.shared("doc", download=True)
    brings = ward.let_in(path) | {"Sec-Fetch-Site": "same-origin"}
    study = "/dicom-web/studies/1.2.9.1"
    requests = [
        *(("DELETE", study), ("POST", f"{study}/restore"), ("POST", "/dicom-web/studies"), ("POST", f"{study}/send")),
        *(("POST", f"{study}/corrections"), ("POST", f"{study}/holds"), ("GET", f"{study}/history")),
        *(("GET", "/dicom-web/changes"), ("GET", "/dicom-web/changes/studies"), ("GET", "/dicom-web/orders")),
        *(("GET", "/dicom-web/operations/audit"), ("GET", "/dicom-web/shares"), ("POST", "/dicom-web/shares")),
        *(("GET", "/fhir/r4/Patient"), ("GET", "/dicom-web"), ("POST", "/dicom-web/overrides")),
        ("DELETE", "/dicom-web/shares/0123456789abcdef"),
    ]
    for method, target in requests:
        answer = ward.send(target, method, b"{}" if method == "POST" else None, {**brings, **JSON})
        assert (answer.status, b"a link gives access" in answer.body) == (404, True), (method, target, answer.body)
    assert ward.find_studies(brings) == {"1.2.9.1"}


def test_objects_are_taken_away_where_the_link_says_so_alone(ward: Ward) -> None:
    looks, takes = ward.let_in(ward.shared()[1]), ward.let_in(ward.shared("doc", download=True)[1])
    for path in OBJECTS:
        assert ward.reads(path.format("1.2.9.1"), looks) == 403
        assert ward.reads(path.format("1.2.9.1"), takes) == 200
    zipped = ward.send("/dicom-web/studies/1.2.9.1", headers={**takes, "Accept": "application/zip"})
    assert (zipped.status, zipped.body[:2]) == (200, b"PK")
    uri = "/wado?requestType=WADO&studyUID={0}&seriesUID={0}.1&objectUID={0}.1.1&contentType=application/dicom"
    assert ward.send(uri.format("1.2.9.1"), headers=looks).status == 403
    assert ward.send(uri.format("1.2.9.1"), headers=takes).status == 200
    assert ward.send(uri.format("1.2.9.2"), headers=takes).status == 404


def test_looking_at_a_link_uses_nothing_up_and_two_browsers_at_once_get_one_opening(ward: Ward) -> None:
    share, path = ward.shared("doc", openings=1)
    for method in ("GET", "HEAD", "GET"):
        assert ward.send(path, method).status == 200
    with ThreadPoolExecutor(8) as browsers:
        statuses = sorted(answer.status for answer in browsers.map(lambda _: ward.enter(path), range(8)))
    assert statuses == [303, *[410] * 7]
    assert b"opened as often as it may be" in ward.enter(path).body
    assert ward.send(path).status == 410
    row = ward.listed("doc", share)
    assert row is not None
    assert (row["opened"], row["state"]) == (1, "used-up")


def test_revoked_link_is_over_in_a_browser_that_is_in(ward: Ward) -> None:
    share, path = ward.shared()
    brings = ward.let_in(path)
    assert ward.reads("1.2.9.1/metadata", brings) == 200
    assert ward.ask("other", f"/dicom-web/shares/{share}", "DELETE").status == 404
    assert ward.ask("doc", f"/dicom-web/shares/{share}?reason=wrong%20address", "DELETE").status == 204
    until(lambda: ward.reads("1.2.9.1/metadata", brings) == 403, seconds=2.5)
    answer = ward.send("/dicom-web/studies", headers=brings)
    assert (answer.status, b"this link has ended" in answer.body) == (403, True)
    assert b"taken back" in ward.enter(path).body
    assert ward.ask("doc", f"/dicom-web/shares/{share}", "DELETE").status == 204


def test_link_is_over_at_its_end(ward: Ward) -> None:
    end = (datetime.now(UTC) + timedelta(seconds=4)).isoformat()
    _, path = ward.shared("doc", expires=end)
    brings = ward.let_in(path)
    assert ward.reads("1.2.9.1/metadata", brings) == 200
    until(lambda: ward.reads("1.2.9.1/metadata", brings) == 403, seconds=10)
    answer = ward.enter(path)
    assert (answer.status, b"time of this link is over" in answer.body, answer.cookie) == (410, True, "")


def test_password_is_needed_and_cannot_be_guessed(ward: Ward) -> None:
    _, path = ward.shared("doc", password=PASSWORD)
    assert b'type="password"' in ward.send(path).body
    assert ward.enter(path).status == 403
    assert b"not the password" in ward.enter(path, "seven blue cows").body
    assert ward.find_studies(ward.let_in(path, PASSWORD)) == {"1.2.9.1"}
    _, path = ward.shared("doc", password=PASSWORD)
    with ThreadPoolExecutor(12) as guessing:
        tried = list(guessing.map(lambda n: ward.enter(path, f"guess number {n}").status, range(24)))
    assert tried.count(403) == 5, tried
    assert tried.count(429) == 19, tried
    # Whoever has it waits as well.
    answer = ward.enter(path, PASSWORD)
    assert (answer.status, int(answer.headers["Retry-After"]) > 600) == (429, True)


def test_tokens_and_cookies_that_nobody_gave_open_nothing(ward: Ward) -> None:
    share, path = ward.shared()
    for wrong in (path[:-1], f"{path}A", path.swapcase(), "/s/", f"/s/{share}", "/s/%2e%2e%2f", f"{path}%0d%0aX:y"):
        answer = ward.enter(wrong)
        assert (answer.status, answer.cookie) == (404, ""), wrong
        assert "X" not in answer.headers
    cookie = ward.let_in(path)["Cookie"]
    # Without a pass that was sealed here, somebody is nobody.
    for changed in (f"{cookie[:-2]}AA", "gantry-share=x", f"gantry-session={cookie.partition('=')[2]}"):
        assert ward.found_status({"Cookie": changed}) == 401
    assert ward.found_status({"Cookie": f"{cookie}; {cookie}"}) == 401


def test_other_sites_open_no_link_and_use_no_cookie(ward: Ward) -> None:
    _, path = ward.shared()
    for site in ("cross-site", "same-site"):
        assert ward.send(path, "POST", b"", {**FORM, "Sec-Fetch-Site": site}).status == 403
    assert ward.send(path, "POST", b"", {**FORM, "Origin": "https://evil.example"}).status == 403
    brings = ward.let_in(path)
    assert ward.send("/dicom-web/studies", headers={**brings, "Sec-Fetch-Site": "cross-site"}).status == 403
    # Of a neighbour below the same domain, whose pages may ask in general.
    assert ward.send("/dicom-web/studies", headers={**brings, "Sec-Fetch-Site": "same-site"}).status == 403
    # From a mail in a browser: the page is shown.
    mail = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert ward.send(path, headers=mail).status == 200


def test_redirection_is_to_our_page_whatever_is_asked(ward: Ward) -> None:
    _, path = ward.shared("doc", "1.2.9.1", "1.2.9.2")
    for more in ("?to=https://evil.example", "?study=//evil.example", ""):
        assert ward.enter(path + more).headers["Location"] == "/"
    for uid in ("1.2\r\nLocation: https://evil.example", "//evil.example"):
        end = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        request = {"studies": [uid], "expires": end, "reason": REASON}
        assert ward.ask("doc", "/dicom-web/shares", "POST", request).status == 400
    answer = ward.enter(path, "x", Host="evil.example")
    assert answer.headers["Location"] == "/"


def test_who_may_not_shares_nothing_and_sees_no_links(ward: Ward) -> None:
    share, _ = ward.shared()
    end = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    request = {"studies": ["1.2.9.1"], "expires": end, "reason": REASON}
    for user in ("tech", "machine"):
        assert ward.ask(user, "/dicom-web/shares", "POST", request).status == 403
        assert ward.ask(user, "/dicom-web/shares").status == 403
        assert ward.ask(user, f"/dicom-web/shares/{share}", "DELETE").status == 403
    assert ward.ask("doc", "/dicom-web/shares", "POST", {**request, "studies": ["1.2.9.9"]}).status == 404
    assert ward.ask("doc", "/dicom-web/shares", "POST", {**request, "expires": "2090-01-01T00:00:00Z"}).status == 400
    assert ward.listed("doc", share) is not None
    assert ward.listed("other", share) is None
    assert ward.listed("all", share) is not None
    assert ward.ask("all", f"/dicom-web/shares/{share}", "DELETE").status == 204


def test_deleted_study_is_gone_from_its_link_and_a_corrected_one_stays(ward: Ward) -> None:
    uid = "1.2.9.7"
    made = data_set(study=uid, series=f"{uid}.1", instance=f"{uid}.1.1", patient="P7")
    assert post(ward.archive, files([file_bytes(made)]), Authorization="Bearer 0123456789abcdef-machine").status == 200
    until(lambda: uid in ward.find_studies({"Authorization": "Bearer 0123456789abcdef-machine"}))
    brings = ward.let_in(ward.shared("doc", uid)[1])
    corrected = ward.ask(
        "all",
        f"/dicom-web/studies/{uid}/corrections?reason=test",
        "POST",
        {"00081030": {"vr": "LO", "Value": ["Corrected"]}},
    )
    assert corrected.status in (200, 201, 202), corrected.body
    until(lambda: b"Corrected" in ward.send(f"/dicom-web/studies/{uid}/metadata", headers=brings).body)
    deleted = ward.ask("all", f"/dicom-web/studies/{uid}?reason=test", "DELETE")
    assert deleted.status in (200, 202, 204), deleted.body
    until(lambda: ward.reads(f"{uid}/metadata", brings) == 404)
    assert ward.find_studies(brings) == set()


def test_link_is_on_record_from_its_making_to_its_end_and_its_token_nowhere(ward: Ward) -> None:
    share, path = ward.shared("doc", password=PASSWORD)
    token = path.rpartition("/")[2]
    ward.enter(path, "seven blue cows")
    brings = ward.let_in(path, PASSWORD)
    assert ward.reads("1.2.9.1/metadata", brings) == 200
    assert ward.ask("doc", f"/dicom-web/shares/{share}", "DELETE").status == 204

    def records(kind: str) -> list[str]:
        answer = ward.ask("all", f"/dicom-web/operations/audit?kind={kind}&limit=1000")
        assert answer.status == 200, answer.body
        return [json.dumps(record) for record in json.loads(answer.body)["records"]]

    until(lambda: any(f"revoke share link {share}" in record for record in records("protection")))
    assert any(f"make share link {share}" in record and REASON in record for record in records("protection"))
    until(lambda: any(f"share link {share}" in record for record in records("accessed")))
    logins = [record for record in records("login") if f"share link {share}" in record]
    assert any("wrong-password" in login and "127.0.0.1" in login for login in logins)
    assert any("wrong-password" not in login and "1.2.9.1" in login for login in logins)
    assert any(record.startswith("{") and f"share link {share}" in record for record in records("accessed"))
    everything = ward.archive.log.read_bytes()
    assert share.encode() in everything
    log = ward.folder / "data" / "log.db"
    if log.exists():
        with closing(sqlite3.connect(log)) as database:
            everything += "\n".join(database.iterdump()).encode()
    for file in (path for path in ward.folder.rglob("*") if path.is_file()):
        everything += file.read_bytes()
    for secret in (token, PASSWORD, brings["Cookie"].partition("=")[2]):
        assert secret.encode() not in everything
        assert secret.encode().hex().encode() not in everything.lower()
    for kind in ("protection", "accessed", "login", "query", "sent", "refused"):
        assert token not in "".join(records(kind))
    if log.exists():
        assert digest_of(token).encode() in everything or digest_of(token).encode().hex().encode() in everything.lower()


def test_command_makes_lists_and_revokes_links_of_a_running_archive(ward: Ward) -> None:
    code, link, output = gantry(ward, "create", "1.2.9.2", "--openings", "2", "--reason", REASON)
    assert (code, link.count("\n")) == (0, 1), output
    path = urlsplit(link.strip()).path
    brings = ward.let_in(path)
    assert ward.find_studies(brings) == {"1.2.9.2"}
    rows = [json.loads(line) for line in gantry(ward, "list", "--json")[1].splitlines()]
    share = next(row["share"] for row in rows if row["studies"] == ["1.2.9.2"] and row["openings"] == 2)
    assert share in output
    assert "1 of 2" in gantry(ward, "list")[1]
    assert path.rpartition("/")[2] not in gantry(ward, "list")[1]
    assert gantry(ward, "revoke", share, "--reason", "wrong address")[0] == 0
    until(lambda: ward.found_status(brings) == 403, seconds=2.5)

    def by_link() -> str:
        return gantry(ward, "list", "--by", f"share link {share}", "--json", command="audit")[1]

    until(lambda: {"login", "query"} <= {json.loads(line)["kind"] for line in by_link().splitlines()})
    rows = [json.loads(line) for line in by_link().splitlines()]
    assert {row["requestor"] for row in rows} == {f"share link {share}"}
    assert {"login", "query"} <= {row["kind"] for row in rows}
    for wrong in (("create", "1.2.9.99"), ("create", "1.2.9.1", "--days", "300"), ("revoke", "nothing")):
        code, out, output = gantry(ward, *wrong, "--reason", REASON)
        assert (code, out, "Traceback" in output) == (1, "", False), output


def test_link_stands_and_falls_in_every_process_behind_the_door(tmp_path: Path) -> None:
    """Query lets in; two retrieves and two queries know of it, and of its end."""
    door = FrontDoor(tmp_path, scale={"query": 2, "retrieve": 2})
    try:
        ward = filled(door, tmp_path)
        share, path = ward.shared("doc", openings=2)
        with ThreadPoolExecutor(6) as browsers:
            answers = list(browsers.map(lambda _: ward.enter(path), range(6)))
        assert sorted(answer.status for answer in answers) == [303, 303, 410, 410, 410, 410]
        brings = {"Cookie": next(answer.cookie for answer in answers if answer.status == 303)}
        for _ in range(4):
            assert ward.find_studies(brings) == {"1.2.9.1"}
            for read in READS:
                assert ward.reads(read.format("1.2.9.1"), brings) == 200
            assert ward.reads("1.2.9.2/metadata", brings) == ward.reads("1.2.9.2/rendered", brings) == 404
        assert ward.send("/dicom-web/operations/audit", headers=brings).status == 404
        assert ward.ask("all", f"/dicom-web/shares/{share}", "DELETE").status == 204
        time.sleep(2.5)
        for _ in range(4):
            assert ward.found_status(brings) == 403
            assert {ward.reads(read.format("1.2.9.1"), brings) for read in READS} == {403}
    finally:
        assert door.stop() == 0


async def test_somebody_outside_sees_the_study_and_a_picture_on_a_phone(ward: Ward) -> None:
    chromium()
    _, path = ward.shared("doc", password=PASSWORD)
    async with browser() as page:
        await page.size(390, 844, phone=True)
        await page.open(f"http://127.0.0.1:{ward.archive.http_port}{path}")
        await page.until("document.querySelector('input[type=password]') !== null")
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390
        await page.evaluate(f"document.querySelector('input').value = {PASSWORD!r}")
        await page.evaluate("document.querySelector('button').click()")
        await page.until("location.search === '?study=1.2.9.1' && location.pathname === '/'")
        await page.until("document.querySelector('.study-head') !== null")
        await page.until(
            "(() => { const c = document.querySelector('.stage canvas'); return c !== null && c.width > 8; })()"
        )
        await page.until("document.body.dataset.share === 'look'")
        for hidden in ("form.search", "[role=tab]#for-history", ".study-actions a[download]", ".below button"):
            assert await page.evaluate(f"document.querySelector('{hidden}').offsetParent") is None, hidden
        # What a visitor may not is not asked for again and again.
        missing = [error for error in page.errors if " 404 " not in error]
        assert not missing, missing
        assert "P1" in await page.evaluate("document.querySelector('.study-head').innerText")
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390
        assert not await page.evaluate("document.cookie")
        assert path.rpartition("/")[2] not in await page.evaluate("document.referrer + location.href")


def test_who_guesses_links_all_day_fills_no_log(ward: Ward) -> None:
    before = ward.archive.log.read_text().count("link not opened")
    assert {ward.enter(f"/s/{number:043d}").status for number in range(30)} == {404}
    assert ward.archive.log.read_text().count("link not opened") - before <= 1
