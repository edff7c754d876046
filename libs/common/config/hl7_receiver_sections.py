"""Settings of HL7 version 2 receivers that get messages about studies over MLLP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from gantry.common.config.values import AeTitle, Seconds, Section

Hl7Charset = Literal[
    "UNICODE UTF-8",
    "ASCII",
    "8859/1",
    "8859/2",
    "8859/3",
    "8859/4",
    "8859/5",
    "8859/6",
    "8859/7",
    "8859/8",
    "8859/9",
    "8859/15",
    "GB 18030-2000",
    "KS X 1001",
    "BIG-5",
    "ISO IR87",
]
HeaderName = Annotated[str, Field(max_length=180, pattern=r"^[^\x00-\x1f\x7f]*$")]


class Hl7ReceiverSettings(Section):
    """One receiver that rules of routing may name in `notify`"""

    name: AeTitle = Field(description="Its name in rules and lists; written like an AE title, and not one of `peers`")
    host: str = Field(description="Where it listens", min_length=1, max_length=253, pattern=r"^[A-Za-z0-9.:_-]+$")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(description="Its MLLP port")
    tls: bool = Field(default=False, description="Speak TLS; its certificate must name `host`")
    ca_file: Path | None = Field(default=None, description="Trusted authorities; without it this machine's")
    cert_file: Path | None = Field(default=None, description="Our certificate, if the receiver wants one (mutual TLS)")
    key_file: Path | None = Field(default=None, description="The key of `cert_file`, where it is not in that file")
    charset: Hl7Charset = Field(default="UNICODE UTF-8", description="Character set of the messages (HL7 table 0211)")
    application: HeaderName = Field(default="", description="Receiving application (MSH-5)")
    facility: HeaderName = Field(default="", description="Receiving facility (MSH-6)")
    sending_application: HeaderName | None = Field(
        default=None, description="Sending application (MSH-3); our AE title where not given"
    )
    sending_facility: HeaderName = Field(default="", description="Sending facility (MSH-4)")
    processing: Literal["P", "T", "D"] = Field(default="P", description="Processing ID (MSH-11)")
    link: str | None = Field(
        default=None,
        description="URL of the images, with `{study}` and `{accession}`: `https://pacs.example/viewer?s={study}`",
    )
    confidential: bool = Field(
        default=True, description="Send messages about [confidential studies](access.md#confidential-studies), too"
    )
    patients: bool = Field(
        default=False,
        description="Send corrections, merges and new IDs of patients, too (ADT^A08, A40, A47)",
    )
    connect_timeout: Seconds = Field(default=10.0, description="Seconds for a connection, with TLS")
    response_timeout: Seconds = Field(default=30.0, description="Seconds for the acknowledgement of a message")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if not self.tls and (self.ca_file or self.cert_file or self.key_file):
            raise ValueError(f"{self.name}: ca_file, cert_file and key_file are for `tls: true`")
        if self.key_file and not self.cert_file:
            raise ValueError(f"{self.name}: key_file needs cert_file")
        if self.link is not None:
            self._check_link(self.link)
        return self

    def _check_link(self, link: str) -> None:
        parts = urlsplit(link)
        if parts.scheme not in ("http", "https") or not parts.hostname or any(sign.isspace() for sign in link):
            raise ValueError(f"{self.name}: link is not the URL of a page")
        if "{study}" not in link and "{accession}" not in link:
            raise ValueError(f"{self.name}: link does not name the study: put {{study}} or {{accession}} into it")
