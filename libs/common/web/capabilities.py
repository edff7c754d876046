"""Machine-readable capabilities (PS3.18 8.9): WADL, and the same in JSON, made from the routing table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import quoteattr

from gantry.common.web.routes import BASE, SHAPES

WADL = "application/vnd.sun.wadl+xml"
_NAMES = ("{study}", "{series}", "{instance}")


def paths() -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """Each path below the base, with method, resource and role."""
    for shape, resources in SHAPES.items():
        path = shape.replace("{*}", "{path}")
        for name in _NAMES:
            path = path.replace("{}", name, 1)
        yield path, [(r.method, r.name.lower().replace("_", "-"), r.service.value) for r in resources]


def as_json() -> dict[str, Any]:
    """The capabilities in JSON."""
    resources = [
        {"path": f"{BASE}/{path}".rstrip("/"), "methods": [method for method, _, _ in methods]}
        for path, methods in paths()
    ]
    return {"resources": resources}


def as_wadl(base: str) -> bytes:
    """The capabilities in WADL, as the standard defines; `base` is the URL of the service."""
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<application xmlns="http://wadl.dev.java.net/2009/02">',
        f"<resources base={quoteattr(base + '/')}>",
    ]
    for path, methods in paths():
        lines.append(f"<resource path={quoteattr(path)}>")
        lines += [f"<method name={quoteattr(method)} id={quoteattr(f'{name} {path}')}/>" for method, name, _ in methods]
        lines.append("</resource>")
    return "\n".join([*lines, "</resources>", "</application>"]).encode()
