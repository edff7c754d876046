"""Types of setting values, and the base class of sections."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from gantry.common.ids import is_ae_title, is_uid

MIB = 1 << 20


def _ae_title(value: str) -> str:
    if not is_ae_title(value):
        raise ValueError("not an AE title (PS3.5 6.2: 1 to 16 characters, no backslash)")
    return value


def _uid(value: str) -> str:
    if not is_uid(value):
        raise ValueError("not a UID (PS3.5 9.1)")
    return value


def _network(value: Any) -> IPv4Network | IPv6Network:
    try:
        return ip_network(value, strict=False)
    except ValueError:
        raise ValueError(f"{value!r} is not an address or a CIDR range") from None


def _host_and_port(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host.strip("[]") or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{value!r} is not HOST:PORT")
    return value


AeTitle = Annotated[str, AfterValidator(_ae_title)]
Uid = Annotated[str, AfterValidator(_uid)]
Cidr = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]
CertificateName = Annotated[str, Field(min_length=1, max_length=256)]
"""The name in a certificate (`gantry.common.net.certificates`)."""
HostAndPort = Annotated[str, AfterValidator(_host_and_port)]
Port = Annotated[int, Field(ge=0, le=65535)]
RejectionCode = Literal["113001", "113037", "113038", "113039", "revoke"]
REJECTION_CODES: frozenset[str] = frozenset(get_args(RejectionCode))
"""The codes of PS3.16 CID 7011, and `revoke` for notes that revoke a rejection."""
RejectedView = Annotated[
    str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}=(113001|113037|113038|113039)(,1130(01|37|38|39))*$")
]
HiddenState = Literal["SCHEDULED", "ARRIVED", "READY", "STARTED", "DEPARTED", "COMPLETED", "DISCONTINUED", "CANCELLED"]
HIDDEN_STATES: frozenset[HiddenState] = frozenset(("STARTED", "DEPARTED", "COMPLETED", "DISCONTINUED", "CANCELLED"))
"""States of steps that a worklist leaves out by default: those that have begun or ended."""
RejectionRule = Annotated[str, Field(pattern=r"^1130(01|37|38|39)=(hide|note|delete|show)$")]
SentAgainRule = Annotated[str, Field(pattern=r"^(1130(01|37|38|39)|deleted)=(accept|ignore|refuse)$")]
OverwriteRule = Annotated[str, Field(pattern=r"^(1130(01|37|38|39)|revoke)>1130(01|37|38|39)$")]
RateOfToken = Annotated[str, Field(pattern=r"^[^=\s]{1,64}=[0-9]{1,9}(\.[0-9]{1,3})?$")]
CodeOfToken = Annotated[str, Field(pattern=r"^[^=\s]{1,64}=(1130(01|37|38|39)|revoke)$")]
TitleCode = Annotated[str, Field(pattern=r"^[^\s^=>]{1,16}\^[^\s^]{1,16}$")]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


def _text(value: Any) -> Any:
    """Refuse values that are not text: YAML reads an unquoted 00123 as a number, and NO as false."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not text: write it in quotes")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    values = value if isinstance(value, list | tuple) else [value]
    if not values or not all(_text(value) for value in values):
        raise ValueError("an empty value: name the attribute under `nullify` to empty it")
    return tuple(values)


def _title_pattern(value: str) -> str:
    if not 0 < len(value) <= 64 or not value.isprintable() or "\\" in value:
        raise ValueError("not an AE title, a pattern of AE titles, or the name of a token")
    return value


Text = Annotated[str, BeforeValidator(_text)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_texts)]
TitlePattern = Annotated[str, AfterValidator(_title_pattern)]


def setting(default: Any, unit: str, description: str) -> Any:
    """A field with its unit and meaning."""
    return Field(default=default, description=description, json_schema_extra={"unit": unit})


class Section(BaseModel):
    """The base class of all sections."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)
