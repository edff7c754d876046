"""Settings of login in a browser (docs/access.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gantry.common.config.values import Seconds, Section, setting

Scope = Annotated[str, Field(pattern=r"^[\x21\x23-\x5b\x5d-\x7e]{1,256}$")]  # RFC 6749 3.3

LONGEST_SESSION = 30 * 24 * 3600.0
"""In seconds: the retention of the topic `sessions`."""


class LoginSettings(Section):
    """Login to the page by OpenID Connect ([access](access.md#login)); it needs `http.url`"""

    issuer: str = setting(
        "", "name", "Name of the issuer, of `access.issuers`, where users sign in; without it there is no login"
    )
    client_id: str = setting("", "", "Our name at the issuer; the redirect URI is `http.url` and /login/callback")
    client_secret_file: Path | None = setting(
        None, "file", "Holds the client's secret; without it the archive is a public client (PKCE alone)"
    )
    scopes: tuple[Scope, ...] = setting(("openid", "profile"), "scopes", "Requested scopes; `openid` is one of them")
    claims_from: Literal["access-token", "id-token"] = setting(
        "access-token",
        "",
        "Where roles and names are read: in the access token, as for bearer tokens, or in the ID token",
    )
    session_key_file: Path | None = setting(
        None,
        "file",
        "Secrets of 32 characters or more, one a line, the same for all processes: the first seals sessions, any opens",
    )
    idle: Seconds = setting(1800.0, "s", "A session ends when it was not used for so long")
    longest: Seconds = setting(36_000.0, "s", "A session ends so long after the login")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.issuer and not self.client_id:
            raise ValueError("client_id: needed, since the issuer must know its client")
        if self.issuer and self.session_key_file is None:
            raise ValueError("session_key_file: needed to seal sessions (docs/access.md#login)")
        if "openid" not in self.scopes:
            raise ValueError("scopes: must include openid, or nobody is signed in")
        if self.longest > LONGEST_SESSION:
            raise ValueError("longest: at most 30 days, which is how long the log retains the issuer's logouts")
        return self
