"""The pages of a link for people outside, without scripts. Pure."""

from __future__ import annotations

from html import escape

from gantry.common.access.asked_shares import LONGEST_PASSWORD
from gantry.common.access.shares import ShareRefusal

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_ASK = "Ask whoever sent it for another one."
WORDS = {
    ShareRefusal.UNKNOWN: f"There is no such link here. Perhaps a part of it was lost on its way. {_ASK}",
    ShareRefusal.EXPIRED: f"The time of this link is over. {_ASK}",
    ShareRefusal.REVOKED: f"This link was taken back. {_ASK}",
    ShareRefusal.USED_UP: f"This link was opened as often as it may be. {_ASK}",
    ShareRefusal.CLOSED: f"Too many wrong passwords were given for this link, and it opens no more. {_ASK}",
    ShareRefusal.WRONG: "This is not the password of this link.",
    ShareRefusal.PREPARING: "The images are being prepared. Try again in some minutes.",
    ShareRefusal.WAITING: "Too many wrong passwords were given for this link.",
}
"""What each refusal means for a person."""
STATUS = {
    ShareRefusal.UNKNOWN: 404,
    ShareRefusal.EXPIRED: 410,
    ShareRefusal.REVOKED: 410,
    ShareRefusal.USED_UP: 410,
    ShareRefusal.CLOSED: 410,
    ShareRefusal.WRONG: 403,
    ShareRefusal.WAITING: 429,
    ShareRefusal.PREPARING: 503,
}
_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex, nofollow">
<title>{title} · Gantry</title>
<link rel="icon" href="/viewer/page/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/viewer/page/tokens.css">
<link rel="stylesheet" href="/viewer/page/login.css">
</head>
<body>
<main>
<h1>{title}</h1>
"""
_FOOT = "</main>\n</body>\n</html>\n"


def welcome(until: str, *, password: bool, wrong: bool = False) -> str:
    """The page of a link that can be opened; `wrong`: a wrong password was given. It does not describe what is shared:
    without the password, the link reveals nothing."""
    words = f"<p>Somebody shared medical images with you. The link works until {escape(until)}.</p>\n"
    if wrong:
        words += f'<p role="alert">{escape(WORDS[ShareRefusal.WRONG])}</p>\n'
    field = (
        '<p><label>Password <input type="password" name="password" autocomplete="off" required autofocus '
        f'maxlength="{LONGEST_PASSWORD}"></label></p>\n'
    )
    form = f'<form method="post">\n{field if password else ""}<p><button>Open the images</button></p>\n</form>\n'
    return _HEAD.format(title="Images for you") + words + form + _FOOT


def refused(refusal: ShareRefusal, wait: int = 0) -> str:
    """The page of a link that cannot be opened; `wait` is in seconds."""
    later = f" Try again in {max(1, -(-wait // 60))} minutes." if refusal is ShareRefusal.WAITING else ""
    return message_page("This link does not open", WORDS[refusal] + later)


def message_page(title: str, words: str) -> str:
    """A page with a message. The words are text, not markup."""
    return _HEAD.format(title=escape(title)) + f"<p>{escape(words)}</p>\n" + _FOOT
