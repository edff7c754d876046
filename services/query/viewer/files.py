"""Which file answers which path of the page and of OHIF."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from hashlib import blake2s
from pathlib import Path

from gantry.common.dicom.standard.dictionary import DICTIONARY
from gantry.common.web.routes import BASE

_HERE = Path(__file__).parent
_PAGE = {"": "index.html", "viewer/viewer.css": "viewer.css", "viewer/viewer.js": "viewer.js"}
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
# What the browser may load, and from where: nothing but from us. https://www.w3.org/TR/CSP3/
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# OHIF compiles shaders and WebAssembly, and puts styles on elements.
_OHIF_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' blob: data:; font-src 'self' data:; media-src 'self' blob:; connect-src 'self' blob: data:; "
    "worker-src 'self' blob:; base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
)
_MISSING = "OHIF is not installed: run deploy/ohif.sh (it needs npm), or see docs/dicomweb.md"
_OHIF_CONFIG = {
    "name": "gantry",
    "routerBasename": "/ohif",
    "extensions": [],
    "modes": [],
    "customizationService": {},
    "showStudyList": True,
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
    """Whether the page wants to be alone in its process (SharedArrayBuffer)."""


def page_file(path: str, ohif: Path | None, ae_title: str = "", port: int = 0) -> Served | None:
    """The file of a path below /, without the slash before it; None where there is none. `ohif` is where OHIF is;
    `ae_title` and `port` are whom modalities call, for an archive that nobody has sent to yet."""
    if path in _PAGE:
        return _served((_HERE / _PAGE[path]).read_bytes(), Path(_PAGE[path]).suffix, _PAGE_POLICY)
    if path == "viewer/config.json":
        there = _installed(ohif)
        config = {"ohif": there, "reason": "" if there else _MISSING, "aeTitle": ae_title, "port": port}
        return _served(json.dumps(config).encode(), ".json", _PAGE_POLICY)
    if path == "viewer/dictionary.json":
        return _served(_dictionary(), ".json", _PAGE_POLICY)
    return None


def ohif_file(path: str, ohif: Path | None) -> Served | None:
    """The file of a path below /ohif/; None where there is none. A path without a file type is one of OHIF's own, which
    its page reads."""
    if ohif is None or not _installed(ohif):
        return None
    if path == "app-config.js":
        return _served(f"window.config = {json.dumps(_OHIF_CONFIG)};\n".encode(), ".js", _OHIF_POLICY, isolated=True)
    if Path(path).suffix not in _TYPES:
        path = "index.html"
    try:
        file = (ohif / path).resolve()
        if not file.is_relative_to(ohif.resolve()) or not file.is_file():
            return None
        return _served(file.read_bytes(), file.suffix, _OHIF_POLICY, isolated=True)
    except (OSError, ValueError):  # a name that no file can have
        return None


def _installed(ohif: Path | None) -> bool:
    return ohif is not None and (ohif / "index.html").is_file()


def _served(content: bytes, suffix: str, policy: str, *, isolated: bool = False) -> Served:
    return Served(content, _TYPES[suffix], f'"{blake2s(content, digest_size=12).hexdigest()}"', policy, isolated)


@cache
def _dictionary() -> bytes:
    """Names of standard attributes by tag (PS3.6), for headers."""
    names = {f"{tag:08X}": entry[2] for tag, entry in DICTIONARY.items()}
    return json.dumps(names, separators=(",", ":")).encode()
