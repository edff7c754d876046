"""Finds the partition of an association or a request, if several organisations share a door. Pure.

Everything that can name a partition is a sign: the port that was called, the called AE title, the caller's network and
certificate; the host and the path of a request. All signs together must name exactly one partition; else the
association or request is refused. It is better to send an image again than to deliver it to the wrong organisation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address

_PORT = "its port"


@dataclass(frozen=True, slots=True)
class Partition:
    """The signs of one partition. `port` means any of its own ports: the door knows which port was called."""

    name: str
    ae_title: str
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    certificates: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    path: str = ""


@dataclass(frozen=True, slots=True)
class Called:
    """The signs of an association: `port` names the partition whose port was called, "" for the common port."""

    ae_title: str
    address: str
    certificate: str = ""
    port: str = ""


@dataclass(frozen=True, slots=True)
class Astray:
    """There is no single partition; `why` is for a log line."""

    why: str


def of_association(partitions: Sequence[Partition], called: Called) -> str | Astray:
    """The name of the partition that the calling peer belongs to."""
    try:
        address = ip_address(called.address)
    except ValueError:
        address = None
    signs = {
        f"called AE title {called.ae_title}": [p.name for p in partitions if p.ae_title == called.ae_title],
        _PORT: [called.port] if called.port else [],
        f"certificate of {called.certificate or 'nobody'}": [
            p.name for p in partitions if called.certificate in p.certificates
        ],
        f"address {called.address}": [
            p.name for p in partitions if address is not None and any(address in network for network in p.networks)
        ],
    }
    return _agreed(signs)


def of_request(partitions: Sequence[Partition], host: str, path: str) -> str | Astray:
    """The name of the partition that a request is for. `host` is its Host header, `path` its path as sent. A request
    without a sign is `Astray` without a reason."""
    name = host_of(host)
    signs = {
        f"host {name}": [p.name for p in partitions if name in p.hosts],
        "path": [p.name for p in partitions if is_below(path, p.path)],
    }
    return _agreed(signs) if any(signs.values()) else Astray("")


def is_below(path: str, prefix: str) -> bool:
    """Whether a path is below a prefix, by whole segments; False for an empty prefix."""
    return bool(prefix) and (path == prefix or path.startswith(f"{prefix}/"))


def host_of(header: str) -> str:
    """The host name of a Host header, in lower case, without port and without a final dot."""
    name, colon, port = header.strip().lower().rpartition(":")
    return (name if colon and port.isdigit() else header.strip().lower()).rstrip(".")


def _agreed(signs: dict[str, list[str]]) -> str | Astray:
    """The one partition on which all signs agree; signs that name none are ignored."""
    speaking = {sign: set(names) for sign, names in signs.items() if names}
    if not speaking:
        return Astray(f"it does not name a partition ({', '.join(sign for sign in signs if sign != _PORT)})")
    common = set.intersection(*speaking.values())
    if len(common) == 1:
        return common.pop()
    claims = "; ".join(f"{sign}: {', '.join(sorted(names))}" for sign, names in speaking.items())
    return Astray(f"its signs name {'several partitions' if common else 'different partitions'} ({claims})")
