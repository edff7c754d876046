"""Settings of web servers that objects are sent to (STOW-RS, PS3.18 10.5)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from gantry.common.config.values import MIB, AeTitle, Count, Seconds, Section


class WebDestinationSettings(Section):
    """One web server that rules of routing may name in `to`"""

    name: AeTitle = Field(description="Its name in rules and lists; written like an AE title, and not one of `peers`")
    url: str = Field(description="The base of its DICOMweb resources: objects are posted to URL/studies")
    plain: bool = Field(default=False, description="Allow an http URL: nothing is encrypted on the way")
    token_file: Path | None = Field(default=None, description="File with the bearer token; read for every study")
    ca_file: Path | None = Field(default=None, description="Trusted authorities; without it this machine's")
    cert_file: Path | None = Field(default=None, description="Our certificate, where the server wants one")
    key_file: Path | None = Field(default=None, description="The key of `cert_file`, where it is not in that file")
    transfer_syntax: Literal["1.2.840.10008.1.2.1"] | None = Field(
        default=None,
        description="Send everything in this transfer syntax (Explicit VR Little Endian); else as it is stored",
    )
    max_request: Annotated[int, Field(ge=1)] = Field(
        default=16 * MIB, description="Bytes of objects in one request at most; a longer object goes alone"
    )
    most: Annotated[Count, Field(le=1000)] = Field(default=50, description="Objects in one request at most")
    connect_timeout: Seconds = Field(default=10.0, description="Seconds for a connection, with TLS")
    response_timeout: Seconds = Field(
        default=120.0, description="Seconds for an answer, plus one for each `least_rate` bytes of the request"
    )
    least_rate: Count = Field(default=65536, description="Bytes per second that the server must read at least")

    @model_validator(mode="after")
    def _is_reached(self) -> Self:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or any(sign.isspace() for sign in self.url):
            raise ValueError(f"{self.name}: url is not an https address")
        if parts.query or parts.fragment or parts.username or parts.password is not None:
            raise ValueError(f"{self.name}: url has no user, query or fragment; a token belongs in token_file")
        if parts.scheme == "http" and not self.plain:
            raise ValueError(f"{self.name}: url is http, which encrypts nothing: give https, or `plain: true`")
        if parts.scheme == "http" and (self.ca_file or self.cert_file):
            raise ValueError(f"{self.name}: ca_file and cert_file are for https")
        if self.key_file and not self.cert_file:
            raise ValueError(f"{self.name}: key_file needs cert_file")
        return self

    @property
    def host(self) -> str:
        """The host name in the URL."""
        return urlsplit(self.url).hostname or ""
