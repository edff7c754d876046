"""Shadow mode of the front door."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gantry.common.config.values import MIB, AeTitle, HostAndPort, Seconds, Section, setting


class ShadowSettings(Section):
    """A second archive that gets the same requests, so that both answers can be compared (docs/shadow.md)"""

    dimse: HostAndPort | None = setting(None, "HOST:PORT", "The other archive; none: off")
    ae_title: AeTitle | None = setting(None, "", "Its AE title, if it differs from the one that peers call")
    tls: bool = setting(
        False, "", "Whether it is called over TLS, as `tls` says; with `answers: gantry`. `true` or `false`"
    )
    asks: tuple[Literal["echo", "store", "find", "get", "worklist", "move"], ...] = setting(
        ("echo", "store", "find", "get"),
        "list",
        "What is mirrored; leave out `store`, which includes STOW-RS, if objects reach both archives by another way; "
        "`worklist` if both have the orders; `move`: nothing is moved twice, both are asked what they would "
        "send",
    )
    url: Annotated[str, Field(pattern=r"^https?://[^?#@\s]+$")] | None = setting(
        None, "URL", "DICOMweb of the other archive, `https://old.example.org/dicom-web`; none: DIMSE alone"
    )
    token_file: Path | None = setting(
        None, "file", "The bearer token for it; callers' own tokens and cookies are never sent to it"
    )
    answers: Literal["gantry", "other"] = setting(
        "gantry", "", "Which archive answers peers: `gantry`, or before the switch `other`, as without a door"
    )
    share: Annotated[float, Field(gt=0, le=1)] = setting(
        1.0, "", "Share of the associations that is mirrored; objects of the others are in one archive only"
    )
    associations: Annotated[int, Field(ge=1, le=1000)] = setting(
        32, "", "Mirrored at once, per process of the door; associations beyond it are not mirrored, and counted"
    )
    memory: Annotated[int, Field(ge=1, le=4096)] = setting(
        64,
        "MiB",
        "Buffer of one association. Without `spool` a longer object is not mirrored, and a slow mirror is abandoned",
    )
    memory_in_all: Annotated[int, Field(ge=1, le=65536)] = setting(512, "MiB", "Buffer of all associations together")
    spool: Path | None = setting(
        None,
        "folder",
        "Folder for objects that wait for the archive that does not answer peers, if `memory` is full, or that archive "
        "is slow or away; patients' images, unencrypted; none: they are dropped",
    )
    spool_bytes: Annotated[int, Field(ge=MIB)] = setting(
        16 << 30,
        "bytes",
        "Size limit of the spool, per process of the door; objects beyond it are dropped, and counted",
    )
    spool_hours: Annotated[float, Field(gt=0, le=8760)] = setting(
        72.0, "hours", "Objects that could not be sent for so long are dropped"
    )
    timeout: Annotated[float, Field(gt=0, le=3600)] = setting(
        60.0, "s", "For an answer of the archive that does not answer peers; then the association is no longer mirrored"
    )
    connect_timeout: Seconds = setting(5.0, "s", "For the connection to it")
    again_after: Annotated[float, Field(ge=0, le=3600)] = setting(
        30.0,
        "s",
        "If matches differ, both are asked again after so long, and only the second answers count; 0: the first count",
    )
    may_differ: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9]{1,64}$")], ...] = setting(
        (),
        "list",
        "Attributes that are not compared, by keyword or as `GGGGEEEE`, beside those that never are: "
        "Retrieve AE Title, Retrieve URL, Instance Availability, Specific Character Set, Timezone Offset From UTC, "
        "Available Transfer Syntax UID, and the Storage Media File-Set",
    )
    keep_days: Annotated[int, Field(ge=1, le=3650)] = setting(120, "days", "How long the counts of a day are kept")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.answers == "other" and self.tls:
            raise ValueError("tls: peers are passed on to the archive that answers without TLS")
        if self.answers == "other" and self.url is not None:
            raise ValueError("url: DICOMweb can only be compared with answers: gantry")
        if self.dimse is None and self.answers == "other":
            raise ValueError("answers: other needs its address, dimse: HOST:PORT")
        if self.spool is not None and self.dimse is None and self.url is None:
            raise ValueError("spool: needs another archive, dimse or url")
        if self.memory > self.memory_in_all:
            raise ValueError("memory of one association is more than memory_in_all")
        return self

    def url_of(self, target: str) -> str:
        """The URL at the other archive of a path below the base, with its query."""
        return f"{(self.url or '').rstrip('/')}{target}"
