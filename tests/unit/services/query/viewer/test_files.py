"""What is served for which path, and nothing beside it."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gantry.services.query.viewer
from gantry.common.audit import AuditKind
from gantry.common.web.routes import PLACES
from gantry.services.query.viewer.files import _version, ohif_file, page_file

SCRIPTS = sorted((Path(gantry.services.query.viewer.__file__).parent / "page").glob("*.js"))


@pytest.fixture
def ohif(tmp_path: Path) -> Path:
    folder = tmp_path / "ohif"
    folder.mkdir()
    (folder / "index.html").write_text("<html>OHIF")
    (folder / "app.js").write_text("'OHIF'")
    (tmp_path / "secret.js").write_text("secret")
    return folder


@pytest.mark.parametrize(
    ("path", "type_"),
    [
        ("", "text/html; charset=utf-8"),
        ("viewer/page/app.js", "text/javascript; charset=utf-8"),
        ("viewer/page/tokens.css", "text/css; charset=utf-8"),
        ("viewer/page/icon.svg", "image/svg+xml"),
        ("viewer/dictionary.json", "application/json"),
        ("viewer/config.json", "application/json"),
    ],
)
def test_the_page_and_what_it_needs_is_served(path: str, type_: str) -> None:
    served = page_file(path, None)
    assert served is not None
    assert served.media_type == type_
    assert served.content
    assert "default-src 'none'" in served.policy


def test_the_page_asks_nothing_of_anybody_else_and_has_no_script_of_its_own() -> None:
    page = page_file("", None)
    assert page is not None
    for content in (page.content.decode(), *(file.read_text() for file in SCRIPTS)):
        code = re.sub(r"^\s*//.*$", "", content, flags=re.MULTILINE).replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|['\"`]//[a-z]", code)
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", code)
    assert re.findall(r"<script(?![^>]* src=)[^>]*>| on[a-z]+=|style=", page.content.decode()) == []


def needed(module: str, found: set[str]) -> set[str]:
    """The modules that one imports, and those that they do."""
    text = (SCRIPTS[0].parent / module).read_text()
    for name in re.findall(r'^import (?:[^;]*? from )?"\./([^"]+)";', text, re.MULTILINE):
        if name not in found:
            found.add(name)
            needed(name, found)
    return found


def test_the_page_names_what_its_first_rows_need_so_that_it_comes_at_once() -> None:
    page = page_file("", None)
    assert page is not None
    named = re.findall(r'<link rel="modulepreload" href="/viewer/page/[0-9a-f]{16}/([^"]+)">', page.content.decode())
    assert named == sorted(needed("app.js", set()))


def test_what_the_page_names_is_kept_for_ever_and_the_page_is_asked_for_again() -> None:
    page = page_file("", None)
    assert page is not None
    assert not page.forever
    named = re.findall(r'(?:href|src)="/([^"]+\.(?:js|css|svg))"', page.content.decode())
    assert len(named) > 20
    for path in named:
        served = page_file(path, None)
        assert served is not None
        assert served.forever, path
        without = page_file(re.sub(r"[0-9a-f]{16}/", "", path), None)
        assert without is not None
        assert (without.content, without.forever) == (served.content, False)


def test_a_file_of_another_version_is_what_there_is_now_and_not_kept() -> None:
    old, now = page_file("viewer/page/0123456789abcdef/app.js", None), page_file("viewer/page/app.js", None)
    assert old is not None
    assert old == now
    for path in (
        "0123456789abcdef/nothing.js",
        "0123456789abcde/app.js",
        "0123456789abcdef/../app.js",
        "0123456789abcdef/",
    ):
        assert page_file(f"viewer/page/{path}", None) is None


def test_another_content_is_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "app.js").write_text("1")
    files = {"viewer/page/app.js": tmp_path / "app.js"}
    monkeypatch.setattr("gantry.services.query.viewer.files._page_files", lambda: files)
    first = _version.__wrapped__()
    assert re.fullmatch("[0-9a-f]{16}", first)
    (tmp_path / "app.js").write_text("2")
    second = _version.__wrapped__()
    files["viewer/page/more.js"] = tmp_path / "app.js"
    assert len({first, second, _version.__wrapped__()}) == 3


def test_no_script_names_a_file_of_the_page_by_a_path_without_its_version() -> None:
    assert [file.name for file in SCRIPTS if "viewer/page" in file.read_text()] == []


def served_script(name: str) -> bytes:
    served = page_file(f"viewer/page/{name}", None)
    assert served is not None
    return served.content


def test_scripts_come_without_comments_and_else_as_they_are_written() -> None:
    for file in SCRIPTS:
        source, content = file.read_text(), served_script(file.name).decode()
        kept = []
        for line in source.splitlines():
            code, _, comment = line.strip().partition(" // ")
            # A text that has a comment in it would be cut short.
            assert comment == "" or not set("\"'`") & set(comment), (file.name, line)
            kept += [] if line.lstrip().startswith("//") else [code]
        assert "".join(content.splitlines()) == "".join(kept)
        assert not re.search(r"[;{,(\[]\n", content), file.name
        # A text that goes over several lines would lose what they begin with.
        assert not [text for text in re.findall(r"`[^`]*`", source) if "\n" in text], file.name


def reached(module: str, found: set[str]) -> set[str]:
    """One and the modules that it brings, at once or later, but for those of other places, and samples, which an empty
    archive is given once."""
    found.add(module)
    text = (SCRIPTS[0].parent / module).read_text()
    for name in re.findall(r'(?:^import (?:[^;]*? from )?|import\()"\./([^"]+)"', text, re.MULTILINE):
        if name not in found and module != "places.js" and name != "samples.js":
            reached(name, found)
    return found


def test_its_scripts_are_small() -> None:
    """PAGE.md: under 80 KB, compressed: what somebody loads who does everything that can be done with studies, and goes
    to the heaviest of the other places."""
    size = {file.name: len(gzip.compress(served_script(file.name))) for file in SCRIPTS}
    studies = reached("app.js", {"early.js", "session.js"})
    places = re.findall(r'import\("\./([^"]+)"\)', (SCRIPTS[0].parent / "places.js").read_text())
    assert len(places) == 7
    beyond = [reached(place, set()) - studies for place in (*places, "samples.js")]
    assert sum(map(size.__getitem__, studies)) < 73_000
    for place in beyond:
        assert sum(map(size.__getitem__, studies | place)) < 80_000
    # `ohif-back.js` is a part of OHIF's configuration: the page does not load it.
    assert studies.union(*beyond) == size.keys() - {"ohif-back.js"}
    for file in SCRIPTS:
        assert len(file.read_text().splitlines()) < 400, file.name


def test_the_page_has_words_for_every_kind_of_audit_record() -> None:
    text = (SCRIPTS[0].parent / "records.js").read_text()
    words, groups = text[text.index("const WORDS") :], text[: text.index("const WORDS")]
    for kind in AuditKind:
        assert re.search(rf'["\s,{{]{kind.word}"?:', words), kind
        assert f'"{kind.word}"' in groups, kind


def test_what_lies_beside_the_page_is_not_served() -> None:
    for path in ("page/", "page/../files.py", "files.py", "page/nothing.js", "index.html", "page/../index.html"):
        assert page_file(f"viewer/{path}", None) is None


def test_the_page_is_told_whether_ohif_is_there(ohif: Path) -> None:
    for folder, there in ((None, False), (ohif.parent, False), (ohif, True)):
        served = page_file("viewer/config.json", folder, "ARCHIVE", 104)
        assert served is not None
        config = json.loads(served.content)
        assert (config["aeTitle"], config["port"]) == ("ARCHIVE", 104)
        assert config["ohif"] is there
        assert bool(config["reason"]) is not there


def test_names_are_those_of_the_standard() -> None:
    served = page_file("viewer/dictionary.json", None)
    assert served is not None
    names = json.loads(served.content)
    assert names["00100010"] == "Patient's Name"
    assert names["1.2.840.10008.5.1.4.1.1.2"] == "CT Image Storage"


def test_a_path_of_ohifs_own_is_its_page(ohif: Path) -> None:
    for path in ("", "viewer", "viewer/1.2.3", "index.html"):
        served = ohif_file(path, ohif)
        assert served is not None
        assert served.content == b"<html>OHIF"
        assert served.isolated


def test_ohif_is_configured_for_this_archive(ohif: Path) -> None:
    served = ohif_file("app-config.js", ohif)
    assert served is not None
    first, script = served.content.decode().split("\n", 1)
    config = json.loads(first.removeprefix("window.config = ").rstrip(";"))
    assert config["customizationService"] == [{"ohif.tours": {"$set": []}}]
    assert not config["showStudyList"]
    assert "href: list" in script
    source = config["dataSources"][0]["configuration"]
    assert [source[name] for name in ("qidoRoot", "wadoRoot", "wadoUriRoot")] == ["/dicom-web", "/dicom-web", "/wado"]


@pytest.mark.parametrize(
    "path", ["../secret.js", "a/../../secret.js", "/etc/hosts.js", "missing.js", "a\0.js", "x" * 9999 + ".js"]
)
def test_nothing_outside_of_its_folder_is_served(path: str, ohif: Path) -> None:
    assert ohif_file(path, ohif) is None


@given(st.text(max_size=60))
def test_any_other_path_is_nothing(path: str) -> None:
    served = page_file(path, None)
    assert served is None or path == "" or path.partition("/")[0] in ("viewer", *PLACES)


def test_without_ohif_there_is_none_of_it(tmp_path: Path) -> None:
    assert ohif_file("", None) is None
    assert ohif_file("app-config.js", tmp_path) is None
