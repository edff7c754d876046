"""Nobody is shown by a cache what only the one before him may see: neither by one between, nor by a browser that
several people use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gantry.common.web.routes import SHAPES
from tests.support.archive import RunningArchive
from tests.support.sharing import READS, Ward, filled

STUDY = "1.2.9.1"
UIDS = (STUDY, f"{STUDY}.1", f"{STUDY}.1.1")
WITHOUT_END = ("changes/studies",)
SAFE = {"no-store", "private, no-cache"}


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    folder: Path = tmp_path_factory.mktemp("caching")
    archive = RunningArchive(folder, lab=False)
    try:
        yield filled(archive, folder)
    finally:
        archive.stop()


def paths() -> list[str]:
    """Each resource, of what is there."""
    addresses = []
    for shape in sorted({*SHAPES} - {*WITHOUT_END}):
        path = shape.replace("{frames}", "1").replace("{*}", "7FE00010" if "bulkdata" in shape else "peers")
        for uid in UIDS:
            path = path.replace("{}", uid, 1)
        addresses.append(f"/dicom-web/{path}".rstrip("/"))
    uids = dict(zip(("studyUID", "seriesUID", "objectUID"), UIDS, strict=True))
    wado = "/wado?requestType=WADO&" + "&".join(f"{name}={uid}" for name, uid in uids.items())
    return [*addresses, "/fhir/r4/ImagingStudy", wado, f"{wado}&contentType=application/dicom"]


def test_what_a_token_is_given_is_asked_for_again_each_time(ward: Ward) -> None:
    answers = {path: ward.ask("all", path) for path in paths()}
    assert sum(answer.status == 200 for answer in answers.values()) > 30
    headers = {path: answer.headers["Cache-Control"] for path, answer in answers.items()}
    assert {path: header for path, header in headers.items() if header not in SAFE} == {}


def test_what_a_visitor_is_given_is_asked_for_again_and_costs_no_second_body(ward: Ward) -> None:
    cookie = ward.let_in(ward.shared("doc", STUDY)[1])
    for read in READS:
        answer = ward.send(f"/dicom-web/studies/{read.format(STUDY)}", headers=cookie)
        assert (answer.status, answer.headers["Cache-Control"] in SAFE) == (200, True), read
        if tag := answer.headers.get("ETag"):
            again = ward.send(f"/dicom-web/studies/{read.format(STUDY)}", headers={**cookie, "If-None-Match": tag})
            assert (again.status, again.body, again.headers["Cache-Control"] in SAFE) == (304, b"", True), read


def test_a_picture_that_a_browser_has_is_not_shown_again_when_its_link_is_revoked(ward: Ward) -> None:
    name, path = ward.shared("doc", STUDY)
    cookie = ward.let_in(path)
    picture = f"/dicom-web/studies/{STUDY}/rendered"
    tag = {"If-None-Match": ward.send(picture, headers=cookie).headers["ETag"]}
    assert ward.send(picture, headers={**cookie, **tag}).status == 304
    assert ward.ask("doc", f"/dicom-web/shares/{name}?reason=wrong+address", "DELETE").status == 204
    assert ward.send(picture, headers={**cookie, **tag}).status == 403


def test_resources_are_the_ones_that_there_are() -> None:
    assert not [path for path in paths() if re.search(r"[{}]", path)]
