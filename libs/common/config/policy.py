"""The AE policy: which peers may call us, for what, and which we call. Decisions are pure functions of a frozen policy.

    peers:
      - ae_title: CT1
        host: 192.0.2.3              # where we call it; an address may also call from there
        port: 104
        from: [192.0.2.0/24]        # more addresses it may call from; needed where `host` is a name
        may: [store, commit, echo]  # the rest is refused: its presentation contexts are not accepted
        move_destination: true      # C-MOVE may send objects there
        sees: [{institution: [North Hospital]}]  # it sees no other studies; without this it sees all

Unknown callers are rejected, and so are known callers from other addresses. `lab` admits unknown callers from this
machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gantry.common.config.document import YamlDocument, read
from gantry.common.config.load import PEERS, plain
from gantry.common.config.seen_studies import MOST_ENTRIES, SeenStudies, seen_studies_as_markdown
from gantry.common.config.values import (
    HIDDEN_STATES,
    REJECTION_CODES,
    AeTitle,
    CertificateName,
    Cidr,
    HiddenState,
    RejectionCode,
)
from gantry.common.ids import is_ae_title


class Permission(StrEnum):
    """What a peer may request."""

    STORE = "store"
    FIND = "find"
    RETRIEVE = "retrieve"
    COMMIT = "commit"
    ECHO = "echo"
    REJECT = "reject"
    WORKLIST = "worklist"
    MPPS = "mpps"
    UPS = "ups"


ALL = frozenset(Permission)
ELSEWHERE = "known, but not at this address"
UNREAD = "not in the policy file, and the peers of the API have not been read yet"


class UserIdentityRule(StrEnum):
    """How the user that a peer names is handled (PS3.7 D.3.3.7)."""

    IGNORED = "ignored"
    ALLOWED = "allowed"
    REQUIRED = "required"


class KnownPeer(BaseModel):
    """One known AE."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    ae_title: AeTitle = Field(description="Its AE title, in both directions; upper and lower case differ")
    host: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9.:_-]+$")] | None = Field(
        default=None, description="Its address or name. It may also call from this address; a name needs `from`"
    )
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        default=None, description="The port it listens on; needed if we call it"
    )
    addresses: tuple[Cidr, ...] = Field(
        default=(), alias="from", description="More addresses, or ranges of them, that it calls from"
    )
    may: frozenset[Permission] = Field(
        default=frozenset({Permission.ECHO}),
        description="What it may request; presentation contexts for anything else are not accepted",
    )
    rejects: frozenset[RejectionCode] = Field(
        default=frozenset(),
        description="With `reject`, the codes it may reject with, and `revoke`; all if empty",
    )
    move_destination: bool = Field(default=False, description="C-MOVE may send objects there; needs `host` and `port`")
    original: bool = Field(
        default=False, description="C-MOVE to it and C-GET by it send objects as they were stored, without corrections"
    )
    view: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")] | None = Field(
        default=None, description="What it sees of rejected instances, one of `lifecycle.views`: C-FIND, C-MOVE, C-GET"
    )
    sees: Annotated[tuple[SeenStudies, ...], Field(max_length=MOST_ENTRIES)] | None = Field(
        default=None,
        description="The studies that it sees: those that match one of the entries "
        "([access](access.md#peers)); all where this is left out",
    )
    confidential: bool = Field(
        default=True,
        description="It also sees [confidential studies](access.md#confidential-studies), within what it `sees`",
    )
    user_identity: UserIdentityRule = Field(
        default=UserIdentityRule.IGNORED,
        description="The user that it names for an association ([access](access.md#users)): `ignored`, checked where "
        "it names one (`allowed`), or needed",
    )
    worklist_hides: frozenset[HiddenState] = Field(
        default=HIDDEN_STATES,
        description="Steps in these states are left out of its worklist",
    )
    worklist_own: bool = Field(
        default=False, description="Only steps whose Scheduled Station AE Title is its own are on its worklist"
    )
    federated: bool = Field(
        default=False,
        description="Its C-FINDs include the archives of `federation.archives` ([federation](federation.md)), "
        "and with `federation.fetch` its C-MOVEs and C-GETs fetch from them, unless it is one of them or has `sees`",
    )
    tls: bool = Field(default=False, description="Only over TLS, in both directions")
    certificate: tuple[CertificateName, ...] = Field(
        default=(),
        description="It calls with a certificate of one of these names: the Common Name of its subject, or its first "
        "DNS name where it has none; needs `tls`",
    )
    max_associations: Annotated[int, Field(ge=1)] = Field(
        default=50, description="At once, per process; beyond it rejected for now (2/3/2)"
    )
    max_operations_per_second: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        default=None, description="On average, per process; beyond it we read more slowly, and it waits"
    )
    max_bytes_per_second: Annotated[float, Field(ge=1024, allow_inf_nan=False)] | None = Field(
        default=None, description="That it sends, on average, per process; beyond it we read more slowly, and it waits"
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.host is not None and _address(self.host) is None and not self.addresses:
            raise ValueError("`host` is a name, so `from` must list the addresses that it calls from")
        if self.host is None and not self.addresses:
            raise ValueError("`host` or `from` is needed: a peer is never admitted from any address")
        if self.move_destination and (self.host is None or self.port is None):
            raise ValueError("a move destination needs `host` and `port`")
        if self.port is not None and self.host is None:
            raise ValueError("`port` needs `host`")
        if self.certificate and not self.tls:
            raise ValueError("`certificate` needs `tls: true`")
        if (self.sees is not None or not self.confidential) and Permission.REJECT in self.may:
            condition = "with `sees`" if self.sees is not None else "that does not see what is `confidential`"
            raise ValueError(f"a peer {condition} cannot `reject`: a rejection note would reveal which instances exist")
        return self

    def calls_from(self, address: IPv4Address | IPv6Address) -> bool:
        """Whether `address` is one that this peer calls from."""
        if self.host is not None and _address(self.host) == address:
            return True
        return any(address.version == network.version and address in network for network in self.addresses)


@dataclass(frozen=True, slots=True)
class Admitted:
    """An association that is allowed."""

    calling_ae_title: str
    may: frozenset[Permission]
    max_associations: int
    rejects: frozenset[str] = frozenset()
    """The codes with which it may reject."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """An A-ASSOCIATE-RJ (PS3.8 table 9-21) and, for our log only, the reason."""

    result: int
    source: int
    reason: int
    words: str


@dataclass(frozen=True, slots=True)
class Destination:
    """The address of a peer that we call."""

    ae_title: str
    host: str
    port: int
    tls: bool


@dataclass(frozen=True, slots=True)
class WorklistView:
    """The steps that a peer sees on its worklist: none in the states of `hides`, and with `own` only those of its own
    AE title."""

    hides: frozenset[str] = HIDDEN_STATES
    own: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """All peers, and the rules for unknown ones."""

    ae_title: str
    peers: Mapping[str, KnownPeer]
    lab: bool = False
    whole: bool = True
    """Whether all peers are known. Until the peers of the API are read, rejections of unknown peers are transient."""

    def admit(
        self, calling: str, called: str, address: str, tls: bool = False, certificate: str = ""
    ) -> Admitted | Rejection:
        """Whether `calling` at `address` may associate with `called`. A wrong title is a permanent rejection by the
        service user (1/1/x, PS3.8 9.3.4). A peer at the wrong address gets the same answer as an unknown one."""
        if called.strip() != self.ae_title:
            return Rejection(1, 1, 7, "called AE title is not ours")
        calling = calling.strip()
        if not is_ae_title(calling):
            return Rejection(1, 1, 3, "calling AE title is not valid (PS3.5 6.2)")
        peer, at = self.peers.get(calling), _address(address)
        if peer is not None and at is not None and peer.calls_from(at):
            if peer.tls and not tls:
                return Rejection(1, 1, 1, "this peer must use TLS")
            if peer.certificate and certificate not in peer.certificate:
                whose = f"the certificate of {certificate}" if certificate else "no verified certificate"
                return Rejection(1, 1, 3, f"this peer must show its own certificate, and calls with {whose}")
            rejects = (peer.rejects or REJECTION_CODES) if Permission.REJECT in peer.may else frozenset()
            return Admitted(calling, peer.may, peer.max_associations, rejects)
        if peer is None and self.lab and at is not None and at.is_loopback:
            return Admitted(calling, ALL, 1 << 30, REJECTION_CODES)
        if peer is None and not self.whole:
            # PS3.8 table 9-21: rejected-transient, service provider (presentation), temporary congestion.
            return Rejection(2, 3, 1, UNREAD)
        return Rejection(1, 1, 3, "calling AE title is not known" if peer is None else ELSEWHERE)

    def destination(self, ae_title: str) -> Destination | None:
        """The address to which C-MOVE may send objects; None if there is none: A801H (PS3.4 C.4.2.1.5)."""
        peer = self.peers.get(ae_title.strip())
        return self.contact(ae_title) if peer is not None and peer.move_destination else None

    def gets_originals(self, ae_title: str) -> bool:
        """Whether a peer gets objects as they were stored, without corrections."""
        peer = self.peers.get(ae_title.strip())
        return peer is not None and peer.original

    def is_federated(self, ae_title: str) -> bool:
        """Whether the queries of a peer include other archives."""
        peer = self.peers.get(ae_title.strip())
        return peer is not None and peer.federated

    def view_of(self, ae_title: str) -> str:
        """The view of rejected instances that a peer has, "" for the default."""
        peer = self.peers.get(ae_title.strip())
        return (peer.view or "") if peer is not None else ""

    def studies_seen_by(self, ae_title: str) -> tuple[SeenStudies, ...] | None:
        """The studies that a peer sees: all if None. A peer that was removed from the policy sees none, so that an
        association that is still open does not see more."""
        peer = self.peers.get(ae_title.strip())
        if peer is None:
            return None if self.lab else ()
        return peer.sees

    def sees_confidential(self, ae_title: str) -> bool:
        """Whether a peer also sees confidential studies, within what it sees."""
        peer = self.peers.get(ae_title.strip())
        return peer is None or peer.confidential

    def user_identity(self, ae_title: str) -> UserIdentityRule:
        """How the user that a peer names is handled."""
        peer = self.peers.get(ae_title.strip())
        return UserIdentityRule.IGNORED if peer is None else peer.user_identity

    def worklist_view(self, ae_title: str) -> WorklistView:
        """What a peer sees of the worklist."""
        peer = self.peers.get(ae_title.strip())
        return WorklistView() if peer is None else WorklistView(frozenset(peer.worklist_hides), peer.worklist_own)

    def contact(self, ae_title: str) -> Destination | None:
        """The address of a peer, for reports to it; None if the policy does not name it."""
        peer = self.peers.get(ae_title.strip())
        if peer is None or peer.host is None or peer.port is None:
            return None
        return Destination(peer.ae_title, peer.host, peer.port, peer.tls)


def policy_of(document: YamlDocument, ae_title: str, lab: bool = False) -> Policy:
    """The policy in a YAML document; raises `ConfigError` with the line. Other sections are ignored."""
    entries = plain(document.tree.get(PEERS))
    if entries is None:
        entries = []
    if not isinstance(entries, list):
        raise document.refuse([PEERS], "peers: a list is expected")
    peers: dict[str, KnownPeer] = {}
    for number, entry in enumerate(entries):
        try:
            peer = KnownPeer.model_validate(entry)
        except ValidationError as error:
            raise document.explain(error, (PEERS, number)) from error
        if peer.ae_title in peers:
            raise document.refuse([PEERS, number], f"peers.{number}: AE title {peer.ae_title} is already in use")
        peers[peer.ae_title] = peer
    return Policy(ae_title, peers, lab)


def read_policy(file: Path | None, ae_title: str, lab: bool = False) -> Policy:
    """The policy in a file; without a file no peer is known. Raises `ConfigError`."""
    if file is None:
        return Policy(ae_title, {}, lab)
    return policy_of(read(file), ae_title, lab)


def in_words(may: Iterable[Permission]) -> str:
    """Permissions in a fixed order, as text."""
    held = set(may)
    return ", ".join(permission.value for permission in Permission if permission in held) or "nothing"


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.split("%")[0])
    except ValueError:
        return None
    # A dual-stack socket shows IPv4 callers as ::ffff:a.b.c.d.
    return getattr(address, "ipv4_mapped", None) or address


_MEANINGS = {
    Permission.STORE: "C-STORE: send objects to us",
    Permission.FIND: "C-FIND",
    Permission.RETRIEVE: "C-MOVE and C-GET",
    Permission.COMMIT: "storage commitment (N-ACTION, and our N-EVENT-REPORT to its `host` and `port`)",
    Permission.ECHO: "C-ECHO",
    Permission.WORKLIST: "C-FIND of the modality worklist (docs/orders.md)",
    Permission.MPPS: "report procedure steps that it performs (N-CREATE, N-SET), and read them (N-GET)",
    Permission.UPS: "create, search, claim and perform workitems (Unified Procedure Steps, docs/workitems.md)",
    Permission.REJECT: "reject instances by storing a rejection note (docs/lifecycle.md)",
}
_TYPES = {
    "ae_title": "AE title",
    "host": "address or name",
    "port": "port",
    "addresses": "list of addresses and CIDR ranges",
    "may": f"list of {', '.join(f'`{permission.value}`' for permission in Permission)}",
    "rejects": "list of codes",
    "move_destination": "`true` or `false`",
    "original": "`true` or `false`",
    "view": "name of a view",
    "sees": "list of entries",
    "confidential": "`true` or `false`",
    "user_identity": "`ignored`, `allowed` or `required`",
    "worklist_hides": "list of states",
    "worklist_own": "`true` or `false`",
    "federated": "`true` or `false`",
    "tls": "`true` or `false`",
    "certificate": "list of names",
    "max_associations": "associations",
    "max_operations_per_second": "operations/s",
    "max_bytes_per_second": "bytes/s",
}


def peers_as_markdown() -> str:
    """The section of docs/settings.md about `peers`."""
    lines = [
        "## `peers`",
        "",
        "Who may talk to us over DICOM, and whom we call: a list, in the same file or in the one that `peers_file`",
        "names; read again within seconds when it changes. `gantry ae` edits it. There are also the",
        "peers that were added to the running archive ([operations](operations.md#peers)). All others are rejected.",
        "",
        "| key | type | default | meaning |",
        "|---|---|---|---|",
    ]
    for name, field in KnownPeer.model_fields.items():
        default = "" if field.is_required() or field.default in (None, ()) else f"`{_default(field.default)}`"
        lines.append(f"| `{field.alias or name}` | {_TYPES[name]} | {default} | {field.description} |")
    lines += ["", "| permission | lets it |", "|---|---|"]
    lines += [f"| `{permission.value}` | {words} |" for permission, words in _MEANINGS.items()]
    return "\n".join([*lines, "", seen_studies_as_markdown()])


def _default(value: object) -> str:
    if isinstance(value, frozenset):
        return f"[{in_words(value) if value <= ALL else ', '.join(sorted(value))}]"
    return str(value).lower()
