"""Where a browser returns to after the login: only a page of ours. Pure."""

from __future__ import annotations

from urllib.parse import unquote

from gantry.common.web.routes import is_login, is_page, is_share

HOME = "/"
_LONGEST = 1024


def target_of(target: str) -> str:
    """The path and query to return to; `HOME` for anything but one of our pages.

    Browsers take `\\` for `/`, and `//host` for another host; some proxies decode encoded characters.
    """
    if len(target) > _LONGEST or not target.isascii() or not target.isprintable() or "\\" in target or " " in target:
        return HOME
    path = target.partition("?")[0].partition("#")[0]
    plain = unquote(unquote(path))
    if any(part.startswith("//") or "\\" in part or not part.isprintable() for part in (path, plain)):
        return HOME
    if ".." in plain.split("/") or not is_page(path) or is_login(path) or is_share(path):
        return HOME
    return target.partition("#")[0]
