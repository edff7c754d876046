"""The front door, and the partitions that share it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from gantry.common.config.shadow_sections import ShadowSettings
from gantry.common.config.values import CertificateName, Cidr, HostAndPort, Port, Seconds, Section, setting

_SERVICES = ("ingest", "query", "retrieve", "commitment", "orders")
"""What the door tells apart."""


class PartitionSettings(Section):
    """One organisation's archive behind a door that several share"""

    name: str = Field(description="Names it in log lines and metrics", pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")
    settings: Path = Field(
        description="The settings file of its services: AE title, stores, who may ask, and who they are (`door`)"
    )
    port: Port | None = Field(default=None, description="A DIMSE port of its own at the door")
    tls_port: Port | None = Field(default=None, description="One that speaks TLS")
    hl7_port: Port | None = Field(
        default=None, description="A port for HL7 messages at the door, for what `door.hl7` of its settings names"
    )
    networks: tuple[Cidr, ...] = Field(default=(), description="Whoever calls from these is one of its peers")
    certificates: tuple[CertificateName, ...] = Field(default=(), description="As does who shows one of these (TLS)")
    hosts: tuple[Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")], ...] = Field(
        default=(), description="Host names of HTTP requests, without port"
    )
    path: str | None = Field(
        default=None,
        description="What paths of HTTP requests begin with, `/north`; for programs, not for the page",
        pattern=r"^/[a-z0-9][a-z0-9-]{0,31}$",
    )
    max_associations: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="At once through a process of the door; `dimse.max_associations` of the door for all"
    )

    @model_validator(mode="after")
    def _ports_of_its_own(self) -> Self:
        if len(set(self._ports)) < len(self._ports):
            raise ValueError("port, tls_port and hl7_port are one")
        return self

    @property
    def _ports(self) -> list[int]:
        return [port for port in (self.port, self.tls_port, self.hl7_port) if port is not None]

    @property
    def signs(self) -> list[tuple[str, object]]:
        """What no other partition may have, with its kind."""
        pairs: list[tuple[str, object]] = [("name", self.name), ("settings", self.settings)]
        pairs += [("port", port) for port in self._ports]
        pairs += [("certificate", name) for name in self.certificates]
        pairs += [("host", name) for name in self.hosts]
        if self.path is not None:
            pairs.append(("path", self.path))
        return pairs


class DoorSettings(Section):
    """The front door (`--role door`): who serves what. A name stands for all its addresses, looked up time and again"""

    ingest: tuple[HostAndPort, ...] = setting((), "HOST:PORT", "Who takes associations that store")
    query: tuple[HostAndPort, ...] = setting((), "HOST:PORT", "Who takes those that search")
    retrieve: tuple[HostAndPort, ...] = setting((), "HOST:PORT", "Who takes those that fetch, with C-MOVE or C-GET")
    commitment: tuple[HostAndPort, ...] = setting((), "HOST:PORT", "Who takes those that ask for storage commitment")
    orders: tuple[HostAndPort, ...] = setting(
        (), "HOST:PORT", "Who takes those that ask for the worklist, or tell of procedure steps"
    )
    mixed: tuple[HostAndPort, ...] = setting(
        (), "HOST:PORT", "Who plays all these roles: takes associations that mix them, and any whose own pool is away"
    )
    hl7: tuple[HostAndPort, ...] = setting(
        (),
        "HOST:PORT",
        "Who takes HL7 messages: the `hl7.port` of processes that play orders. The door then takes them at its own",
    )
    http_ingest: tuple[HostAndPort, ...] = setting((), "HOST:PORT", "Who takes DICOMweb requests that store")
    http_query: tuple[HostAndPort, ...] = setting((), "HOST:PORT", "Who takes those that search")
    http_retrieve: tuple[HostAndPort, ...] = setting((), "HOST:PORT", "Who takes those that fetch")
    http_commitment: tuple[HostAndPort, ...] = setting(
        (), "HOST:PORT", "Who takes those that ask for storage commitment"
    )
    http_orders: tuple[HostAndPort, ...] = setting((), "HOST:PORT", "Who takes those about orders")
    partitions: tuple[PartitionSettings, ...] = setting(
        (),
        "list",
        "In place of all these: archives of several organisations, each with a settings file of its own "
        "([partitions](partitions.md)): `{name: north, settings: north.yaml, hosts: [north.example]}`",
    )
    key_file: Path | None = setting(
        None,
        "file",
        "The key of door and services, 32 characters or more a line; the first of two signs, both are taken. With it, "
        "services believe nobody else in `proxy_from`. Read again when it changes",
    )
    shadow: ShadowSettings = setting(ShadowSettings(), "", "")
    connect_timeout: Seconds = setting(2.0, "s", "TCP connection to a backend; then the next one is tried")
    connect_deadline: Seconds = setting(10.0, "s", "For all tries together; then rejected for now (2/3/1)")
    leave_alone: Seconds = setting(
        5.0, "s", "A backend that could not be reached gets nothing for so long if others can"
    )
    look_every: Seconds = setting(5.0, "s", "Between two looks: names are resolved, each backend is connected to")

    @property
    def pools(self) -> dict[str, tuple[str, ...]]:
        """The backends by pool, of the pools that have some."""
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
            raise ValueError("the processes behind `partitions` are named in the settings file of each: none here")
        _refuse_shared_signs(self.partitions)
        return self


def _refuse_shared_signs(partitions: Iterable[PartitionSettings]) -> None:
    """Raises `ValueError` where one sign is of two partitions: nobody could say whose a peer is."""
    signs: dict[tuple[str, object], str] = {}
    networks: list[tuple[Cidr, str]] = []
    for partition in partitions:
        for kind, value in partition.signs:
            if (kind, value) in signs:
                raise ValueError(f"partitions {signs[kind, value]} and {partition.name} have one {kind}: {value}")
        signs |= dict.fromkeys(partition.signs, partition.name)
        for network in partition.networks:
            for known, other in networks:
                if known.version == network.version and known.overlaps(network):
                    raise ValueError(f"partitions {other} and {partition.name} share addresses of {network}")
        networks += [(network, partition.name) for network in partition.networks]
