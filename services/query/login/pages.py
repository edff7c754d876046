"""The messages of a login, as pages without scripts. Pure."""

from __future__ import annotations

from html import escape

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def page_of(title: str, words: str, link: tuple[str, str]) -> str:
    """A page with a message; `link` is a path of ours and its label. The words are text, not markup."""
    path, name = link
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)} · Gantry</title>
<link rel="icon" href="/viewer/page/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/viewer/page/tokens.css">
<link rel="stylesheet" href="/viewer/page/login.css">
</head>
<body>
<main>
<h1>{escape(title)}</h1>
<p>{escape(words)}</p>
<p><a href="{escape(path)}">{escape(name)}</a></p>
</main>
</body>
</html>
"""
