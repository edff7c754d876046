"""The front door, and the partitions that share it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from gantry.common.config.shadow_sections import ShadowSettings
from gantry.common.config.values import CertificateName, Cidr, HostAndPort, Port, Seconds, Section, setting

_SERVICES = ("ingest", "query", "retrieve", "commitment", "orders")
"""The kinds of requests that the door routes."""


class PartitionSettings(Section):
    """The archive of one organisation behind a shared front door"""

    name: str = Field(description="Its name in log lines and metrics", pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")
    settings: Path = Field(
        description="The settings file of its services: AE title, stores, peers, and its backends (`door`)"
    )
    port: Port | None = Field(default=None, description="A DIMSE port of its own at the door")
    tls_port: Port | None = Field(default=None, description="A DIMSE port of its own with TLS")
    hl7_port: Port | None = Field(
        default=None, description="A port for HL7 messages at the door, for what `door.hl7` of its settings names"
    )
    networks: tuple[Cidr, ...] = Field(default=(), description="Peers that call from these addresses belong to it")
    certificates: tuple[CertificateName, ...] = Field(
        default=(), description="Peers with a certificate of one of these names belong to it (TLS)"
    )
    hosts: tuple[Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")], ...] = Field(
        default=(), description="Host names of HTTP requests, without port"
    )
    path: str | None = Field(
        default=None,
        description="What paths of HTTP requests begin with, `/north`; for programs, not for the page",
        pattern=r"^/[a-z0-9][a-z0-9-]{0,31}$",
    )
    max_associations: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="At once through one process of the door; `dimse.max_associations` of the door limits all together",
    )

    @model_validator(mode="after")
    def _ports_of_its_own(self) -> Self:
        if len(set(self._ports)) < len(self._ports):
            raise ValueError("two of port, tls_port and hl7_port are the same")
        return self

    @property
    def _ports(self) -> list[int]:
        return [port for port in (self.port, self.tls_port, self.hl7_port) if port is not None]

    @property
    def signs(self) -> list[tuple[str, object]]:
        """The signs that no other partition may share, each with its kind."""
        pairs: list[tuple[str, object]] = [("name", self.name), ("settings", self.settings)]
        pairs += [("port", port) for port in self._ports]
        pairs += [("certificate", name) for name in self.certificates]
        pairs += [("host", name) for name in self.hosts]
        if self.path is not None:
            pairs.append(("path", self.path))
        return pairs


class DoorSettings(Section):
    """The front door (`--role door`) and its backends. A host name means all its addresses, and is resolved often"""

    ingest: tuple[HostAndPort, ...] = setting((), "HOST:PORT", "Backends for associations that store")
    query: tuple[HostAndPort, ...] = setting((), "HOST:PORT", "Backends for associations that search")
    retrieve: tuple[HostAndPort, ...] = setting((), "HOST:PORT", "Backends for C-MOVE and C-GET")
    commitment: tuple[HostAndPort, ...] = setting((), "HOST:PORT", "Backends for storage commitment")
    orders: tuple[HostAndPort, ...] = setting((), "HOST:PORT", "Backends for the worklist and for procedure steps")
    mixed: tuple[HostAndPort, ...] = setting(
        (),
        "HOST:PORT",
        "Backends with all these roles: for associations that mix them, and for all whose own pool is away",
    )
    hl7: tuple[HostAndPort, ...] = setting(
        (),
        "HOST:PORT",
        "Backends for HL7 messages: `hl7.port` of the orders role. The door then listens on its own `hl7.port`",
    )
    http_ingest: tuple[HostAndPort, ...] = setting((), "HOST:PORT", "Backends for DICOMweb requests that store")
    http_query: tuple[HostAndPort, ...] = setting((), "HOST:PORT", "Backends for DICOMweb searches")
    http_retrieve: tuple[HostAndPort, ...] = setting((), "HOST:PORT", "Backends for DICOMweb retrieval")
    http_commitment: tuple[HostAndPort, ...] = setting((), "HOST:PORT", "Backends for DICOMweb storage commitment")
    http_orders: tuple[HostAndPort, ...] = setting((), "HOST:PORT", "Backends for HTTP requests about orders")
    partitions: tuple[PartitionSettings, ...] = setting(
        (),
        "list",
        "In place of all these: archives of several organisations, each with a settings file of its own "
        "([partitions](partitions.md)): `{name: north, settings: north.yaml, hosts: [north.example]}`",
    )
    key_file: Path | None = setting(
        None,
        "file",
        "Shared keys of door and services, 32 characters or more, at most two, one a line; the first signs, both are "
        "accepted. With it, services accept headers from `proxy_from` only if signed. Read again when it changes",
    )
    shadow: ShadowSettings = setting(ShadowSettings(), "", "")
    connect_timeout: Seconds = setting(2.0, "s", "Timeout for connecting to a backend; then the next one is tried")
    connect_deadline: Seconds = setting(
        10.0, "s", "Limit for all tries together; then the association is rejected for now (2/3/1)"
    )
    leave_alone: Seconds = setting(
        5.0, "s", "How long a backend that could not be reached is avoided while others can be"
    )
    look_every: Seconds = setting(5.0, "s", "Between two checks: names are resolved, each backend is connected to")

    @property
    def pools(self) -> dict[str, tuple[str, ...]]:
        """The backends of each pool; empty pools are left out."""
        named = {name: getattr(self, name) for name in (*_SERVICES, "mixed")}
        return {name: backends for name, backends in named.items() if backends}

    @property
    def web_pools(self) -> dict[str, tuple[str, ...]]:
        """The same for DICOMweb."""
        named = {name: getattr(self, f"http_{name}") for name in _SERVICES}
        return {name: backends for name, backends in named.items() if backends}

    @model_validator(mode="after")
    def _of_one_archive_or_of_several(self) -> Self:
        if self.partitions and (self.pools or self.web_pools or self.hl7):
            raise ValueError("with `partitions`, each partition's own settings file names its backends: name none here")
        _refuse_shared_signs(self.partitions)
        return self


def _refuse_shared_signs(partitions: Iterable[PartitionSettings]) -> None:
    """Raises `ValueError` if two partitions share a sign: a peer with it could belong to either."""
    signs: dict[tuple[str, object], str] = {}
    networks: list[tuple[Cidr, str]] = []
    for partition in partitions:
        for kind, value in partition.signs:
            if (kind, value) in signs:
                raise ValueError(f"partitions {signs[kind, value]} and {partition.name} have the same {kind}: {value}")
        signs |= dict.fromkeys(partition.signs, partition.name)
        for network in partition.networks:
            for known, other in networks:
                if known.version == network.version and known.overlaps(network):
                    raise ValueError(f"partitions {other} and {partition.name} share addresses of {network}")
        networks += [(network, partition.name) for network in partition.networks]
