"""Settings of HL7 version 2: the MLLP port, and the profiles of senders."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gantry.common.config.values import MIB, AeTitle, Cidr, Count, Port, Seconds, Section, setting

_THIS_MACHINE = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
FieldPathText = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{2}-[1-9]\d{0,2}(\.[1-9]\d?(\.[1-9]\d?)?)?$")]
Authority = Annotated[str, Field(pattern=r"^[^=\\^~&|]{0,64}(=[^=\\]{0,64})?$")]
SenderPattern = Annotated[str, Field(pattern=r"^[^\^|]{1,64}(\^[^\^|]{1,64})?$")]


class Hl7ProfileSettings(Section):
    """Where one sender puts which value; the first profile whose sender matches applies"""

    sender: SenderPattern = Field(
        description="Sending application and facility (MSH-3, MSH-4), with * and ?: `RIS^HOSPITAL`, `RIS^*`"
    )
    charset: str = Field(default="UNICODE UTF-8", description="What an empty MSH-18 means (HL7 table 0211)")
    processing: tuple[Literal["P", "T", "D"], ...] = Field(
        default=("P",), description="Processing IDs (MSH-11) that are accepted; others get AR"
    )
    authorities: tuple[Authority, ...] = Field(
        default=(),
        description="Assigning authorities (PID-3.4) whose patients are corrected and merged: `HOSP` (the issuer has "
        "the same name here), `HOSP=MAIN`, `HOSP=` (images come without an issuer), `=MAIN` (IDs without an authority)",
    )
    accession: tuple[FieldPathText, ...] = Field(
        default=("IPC-1", "OBR-18", "ORC-3", "OBR-3", "SCH-27"),
        description="Accession Number: the first field with a value",
    )
    procedure: tuple[FieldPathText, ...] = Field(
        default=("IPC-2", "OBR-19"), description="Requested Procedure ID; without one the accession number"
    )
    step: tuple[FieldPathText, ...] = Field(
        default=("IPC-4", "OBR-20"),
        description="Scheduled Procedure Step ID; without one its place in the message, from 1",
    )
    study: tuple[FieldPathText, ...] = Field(
        default=("IPC-3", "ZDS-1"), description="Study Instance UID; without one it is made from the order's key"
    )
    modality: tuple[FieldPathText, ...] = Field(default=("IPC-5", "OBR-24"), description="Modality")
    station: tuple[FieldPathText, ...] = Field(default=("IPC-9",), description="Scheduled Station AE Title")
    start: tuple[FieldPathText, ...] = Field(
        default=("TQ1-7", "ORC-7.4", "OBR-27.4", "OBR-36", "SCH-11.4", "AIS-4"), description="Start of a step"
    )
    confidential: tuple[FieldPathText, ...] = Field(
        default=(),
        description="Fields that make a patient's studies [confidential](access.md#confidential-studies), by ADT^A08 "
        'and A31: `[PV1-16]` (VIP indicator), `[PD1-12]` (protection indicator); `N` and `""` end it',
    )
    modalities: dict[str, Annotated[str, Field(pattern=r"^[A-Z0-9_ ]{1,16}$")]] = Field(
        default={}, description="Its names of modalities, each with DICOM's: `{XRAY: DX}`"
    )
    stations: dict[str, AeTitle] = Field(
        default={}, description="The station of a step that names none, by modality: `{CT: CT1}`; `'*'` for all others"
    )


class Hl7Settings(Section):
    """Orders and patients by HL7 version 2 over MLLP (docs/hl7.md)"""

    port: Port | None = setting(None, "port", "MLLP port of the orders role; off without it")
    host: str = setting("0.0.0.0", "address", "Where to listen")  # noqa: S104 (`admit` decides who gets in)
    admit: tuple[Cidr, ...] = setting(
        (), "CIDRs", "Networks whose connections are accepted; others are closed. Only this machine where none is named"
    )
    proxy_from: tuple[Cidr, ...] = setting(
        (),
        "CIDRs",
        "Addresses whose connections begin with a PROXY protocol v2 header: our front door, a load balancer",
    )
    tls: bool = setting(
        False,
        "",
        "Speak TLS as in `tls`, which also says whether a client certificate is needed (mutual TLS). Behind a front "
        "door the door speaks it",
    )
    max_message: Count = setting(4 * MIB, "bytes", "Longest message; beyond it AR, and the connection ends")
    message_deadline: Seconds = setting(30.0, "s", "From a message's first byte to its last")
    idle_timeout: Seconds = setting(3600.0, "s", "A connection without a message is closed after this")
    max_connections: Count = setting(64, "connections", "At once; beyond it closed")
    max_connections_per_address: Count = setting(16, "connections", "Of one address at once; beyond it closed")
    apply_deadline: Seconds = setting(
        20.0, "s", "For a message to become durable and be applied; beyond it AR, and the sender repeats it"
    )
    remembered: Seconds = setting(
        24 * 3600.0,
        "s",
        "An accepted message that comes again (MSH-10) within so long gets the same answer, one of the same MSH-10 "
        "with other bytes AR; at most 30 days",
    )
    profiles: tuple[Hl7ProfileSettings, ...] = setting(
        (),
        "list",
        "Where each sender puts its values ([profiles](hl7.md#profiles)): "
        "`{sender: 'RIS^*', authorities: [HOSP], accession: [OBR-18], stations: {CT: CT1}}`",
    )

    @property
    def admitted(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks whose connections are accepted."""
        return self.admit or _THIS_MACHINE

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.remembered > 30 * 24 * 3600.0:
            raise ValueError("remembered: at most 30 days, which is how long the log retains the answers")
        return self
