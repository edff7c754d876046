"""Which file answers which path of the page and of OHIF."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from functools import cache
from hashlib import blake2s
from pathlib import Path

from gantry.common.dicom.standard.dictionary import DICTIONARY
from gantry.common.dicom.standard.sop_classes import STORAGE_SOP_CLASSES
from gantry.common.web.routes import BASE, PLACES

_HERE = Path(__file__).parent
_SCRIPTS = _HERE / "page"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".jsonc": "application/json",
    ".webapp": "application/manifest+json",
    ".xml": "application/xml",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
}
# What the browser may load, and from where: only from this server. https://www.w3.org/TR/CSP3/
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# OHIF compiles shaders and WebAssembly, puts styles on elements, and shows a PDF file that it fetched.
_OHIF_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' blob: data:; font-src 'self' data:; media-src 'self' blob:; connect-src 'self' blob: data:; "
    "worker-src 'self' blob:; object-src 'self' blob:; frame-src 'self' blob:; base-uri 'self'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_SPACES = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_COMMENTS = re.compile(rb"^[ \t]*(?://.*\n)?|(?<=[;{,(\[])[ \t]+//.*$", re.MULTILINE)
"""Indentation, lines with nothing but a comment, and comments at the end of a line. No string in our scripts spans
several lines or contains a comment."""
_LINE_ENDS = re.compile(rb"(?<=[;{,(\[])\n+")
"""Line ends that do not end a statement."""
_BELOW = "viewer/page/"
_VERSIONED = re.compile(f"{_BELOW}([0-9a-f]{{16}})/([^/]+)")
_MISSING = "OHIF is not installed: run deploy/ohif.sh (it needs npm), or see docs/dicomweb.md"
_OHIF_CONFIG = {
    "name": "gantry",
    "routerBasename": "/ohif",
    "extensions": [],
    "modes": [],
    # No tour, and no study list of its own: "back" leads to our page (page/ohif-back.js).
    "customizationService": [{"ohif.tours": {"$set": []}}],
    "showStudyList": False,
    "maxNumberOfWebWorkers": 3,
    "showWarningMessageForCrossOrigin": False,
    "showCPUFallbackMessage": True,
    "showLoadingIndicator": True,
    "strictZSpacingForVolumeViewport": True,
    "investigationalUseDialog": {"option": "never"},
    "defaultDataSourceName": "gantry",
    "dataSources": [
        {
            "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
            "sourceName": "gantry",
            "configuration": {
                "friendlyName": "Gantry",
                "name": "gantry",
                "wadoUriRoot": "/wado",
                "qidoRoot": BASE,
                "wadoRoot": BASE,
                "qidoSupportsIncludeField": True,
                "imageRendering": "wadors",
                "thumbnailRendering": "thumbnail",
                "enableStudyLazyLoad": True,
                "supportsFuzzyMatching": True,
                "supportsWildcard": True,
                "dicomUploadEnabled": True,
                "singlepart": "bulkdata,video,pdf",
                "bulkDataURI": {"enabled": True},
                "omitQuotationForMultipartRequest": True,
            },
        }
    ],
}


@dataclass(frozen=True, slots=True)
class Served:
    """A file for the browser; `etag` changes with its content."""

    content: bytes
    media_type: str
    etag: str
    policy: str
    isolated: bool = False
    """Whether the page needs cross-origin isolation (SharedArrayBuffer)."""
    forever: bool = False
    """Whether this path never changes its content: it contains the version."""


def page_file(
    path: str,
    ohif: Path | None,
    ae_title: str = "",
    port: int = 0,
    quiet: float = 0.0,
    *,
    lab: bool = False,
    login: bool = False,
    share: str = "",
) -> Served | None:
    """The file of a path below /, without its leading slash; None if there is none. `ohif` is the folder of OHIF;
    `ae_title` and `port` are the address for modalities, which the page shows while the archive is empty; a study is
    shown as arriving if part of it came within the last `quiet` seconds, 0: never; `lab`: the archive is for trial, so
    the page offers samples; `login`: people have sessions; `share`: the visitor opened a link, to "look", or to "take"
    objects away as well."""
    path, version = _without_version("" if path.partition("/")[0] in PLACES else path)
    file = _page_files().get(path)
    if file is not None:
        return replace(_served(_content(file), file.suffix, _PAGE_POLICY), forever=version == _version())
    if path == "viewer/config.json":
        is_installed = _installed(ohif)
        config = {
            "ohif": is_installed,
            "reason": "" if is_installed else _MISSING,
            "aeTitle": ae_title,
            "port": port,
            "login": login,
        }
        config |= {"quiet": quiet, "lab": lab}
        if share:
            config = {"ohif": is_installed, "reason": "", "login": False, "share": share}
        return _served(json.dumps(config).encode(), ".json", _PAGE_POLICY)
    if path == "viewer/dictionary.json":
        return _served(_dictionary(), ".json", _PAGE_POLICY)
    return None


def ohif_file(path: str, ohif: Path | None, *, login: bool = False) -> Served | None:
    """The file of a path below /ohif/; None if there is none. A path without a known file type is a route within OHIF,
    answered with its page."""
    if ohif is None or not _installed(ohif):
        return None
    if path == "app-config.js":
        config = f"window.config = {json.dumps(_OHIF_CONFIG)};\n".encode() + (_SCRIPTS / "ohif-back.js").read_bytes()
        if login:
            config += (_SCRIPTS / "session.js").read_bytes() + b"window.session.begin();\n"
        return _served(config, ".js", _OHIF_POLICY, isolated=True)
    if Path(path).suffix not in _TYPES:
        path = "index.html"
    try:
        file = (ohif / path).resolve()
        if not file.is_relative_to(ohif.resolve()) or not file.is_file():
            return None
        return _served(file.read_bytes(), file.suffix, _OHIF_POLICY, isolated=True)
    except (OSError, ValueError):  # a name that is not valid for a file
        return None


@cache
def _page_files() -> dict[str, Path]:
    """The page, and its scripts, styles and icons, by path. Only files of that one folder are served."""
    below = {f"{_BELOW}{file.name}": file for file in _SCRIPTS.iterdir() if file.suffix in (".js", ".css", ".svg")}
    return {"": _HERE / "index.html", **below}


def _without_version(path: str) -> tuple[str, str]:
    """A path without its version, and that version. Modules import each other by relative paths, so all of them get the
    version that the page names. A request for another version comes from a page that was opened before an upgrade, or
    from another process during it: it gets the current file, to be revalidated."""
    match = _VERSIONED.fullmatch(path)
    return (f"{_BELOW}{match[2]}", match[1]) if match else (path, "")


@cache
def _version() -> str:
    """The version: a digest of all files of the page."""
    digest = blake2s(digest_size=8)
    for path, file in sorted(_page_files().items()):
        digest.update(path.encode() + b"\0" + (file.read_bytes() if path else b"") + b"\0")
    return digest.hexdigest()


@cache
def _content(file: Path) -> bytes:
    """The content for the browser: scripts without comments and indentation, an eighth less to transfer, and the page
    with the version of its files."""
    content = file.read_bytes()
    if file.suffix == ".html":
        return content.replace(f"/{_BELOW}".encode(), f"/{_BELOW}{_version()}/".encode())
    return _LINE_ENDS.sub(b"", _COMMENTS.sub(b"", content)) if file.suffix == ".js" else content


def _installed(ohif: Path | None) -> bool:
    return ohif is not None and (ohif / "index.html").is_file()


def _served(content: bytes, suffix: str, policy: str, *, isolated: bool = False) -> Served:
    return Served(content, _TYPES[suffix], f'"{blake2s(content, digest_size=12).hexdigest()}"', policy, isolated)


@cache
def _dictionary() -> bytes:
    """Names of standard attributes by tag, and of storage SOP classes by UID (PS3.6)."""
    names = {f"{tag:08X}": entry[2] for tag, entry in DICTIONARY.items()}
    names |= {uid: _SPACES.sub(" ", keyword) for keyword, uid in STORAGE_SOP_CLASSES.items()}
    return json.dumps(names, separators=(",", ":")).encode()
