"""The association PDUs (PS3.8 9.3.2 to 9.3.8) with their user information items (PS3.7 D.3.3), decoded and encoded.

Our own codec, since negotiation is a hot path: a request with 101 presentation contexts decodes in about 0.1 ms.
pynetdicom's classes are its oracle in the tests. Every defect in a peer's PDU raises `PduError`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from struct import Struct

APPLICATION_CONTEXT_NAME = "1.2.840.10008.3.1.1.1"

_ITEM = Struct(">BxH")
_HEAD = Struct(">BxI")
_AE_FIELD = 16


class PduError(Exception):
    """A PDU that PS3.8 9.3 does not allow. `reason` is the provider's reason of table 9-26 for the A-ABORT."""

    def __init__(self, message: str, reason: int = 6) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ProposedContext:
    """PS3.8 9.3.2.2: a presentation context as proposed."""

    id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ContextResult:
    """PS3.8 9.3.3.2: 0 accepted, 1 user rejection, 2 no reason, 3 abstract, 4 transfer syntaxes not supported."""

    id: int
    result: int
    transfer_syntax: str


@dataclass(frozen=True, slots=True)
class AcceptedContext:
    """A presentation context in use; the roles are those of the association's requestor (PS3.7 D.3.3.4). `extended` is
    the agreed service class application information, as the acceptor answered it (D.3.3.5)."""

    id: int
    abstract_syntax: str
    transfer_syntax: str
    requestor_is_scu: bool = True
    requestor_is_scp: bool = False
    extended: bytes = b""


@dataclass(frozen=True, slots=True)
class RoleSelection:
    """PS3.7 D.3.3.4: the roles that the requestor takes for a SOP class."""

    sop_class_uid: str
    scu: bool
    scp: bool


@dataclass(frozen=True, slots=True)
class UserIdentity:
    """PS3.7 D.3.3.7: the identity of the user. Left out of `repr`: fields may be secrets."""

    type: int
    response_requested: bool
    primary: bytes
    secondary: bytes

    def __repr__(self) -> str:
        return f"UserIdentity(type={self.type})"


@dataclass(frozen=True, slots=True)
class _Associate:
    """The common fields of A-ASSOCIATE-RQ and -AC. AE titles are stripped of padding."""

    called_ae_title: str
    calling_ae_title: str
    max_pdu_length: int = 0
    implementation_class_uid: str = ""
    implementation_version_name: str = ""
    async_window: tuple[int, int] | None = None
    roles: tuple[RoleSelection, ...] = ()
    extended: tuple[tuple[str, bytes], ...] = ()
    application_context: str = APPLICATION_CONTEXT_NAME
    protocol_version: int = 1


@dataclass(frozen=True, slots=True)
class AssociateRequest(_Associate):
    """A-ASSOCIATE-RQ (PS3.8 9.3.2)."""

    contexts: tuple[ProposedContext, ...] = ()
    common_extended: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    user_identity: UserIdentity | None = None


@dataclass(frozen=True, slots=True)
class AssociateAccept(_Associate):
    """A-ASSOCIATE-AC (PS3.8 9.3.3)."""

    results: tuple[ContextResult, ...] = ()
    user_identity_response: bytes | None = None


@dataclass(frozen=True, slots=True)
class AssociateReject:
    """A-ASSOCIATE-RJ (PS3.8 9.3.4). `why` is for our own log: the peer gets only the three numbers."""

    result: int
    source: int
    reason: int
    why: str = field(default="", compare=False)

    @property
    def words(self) -> str:
        """The meaning of the three numbers (PS3.8 table 9-21), as text."""
        why = _REJECTIONS.get((self.source, self.reason), f"reason {self.reason} of source {self.source}")
        return f"{why} ({'try again later' if self.result == 2 else 'permanent'})"


_REJECTIONS = {
    (1, 1): "no reason given",
    (1, 2): "the application context name is not supported",
    (1, 3): "the calling AE title is not recognised",
    (1, 7): "the called AE title is not recognised",
    (2, 1): "no reason given by the peer's upper layer",
    (2, 2): "the protocol version is not supported",
    (3, 1): "temporary congestion",
    (3, 2): "the peer's limit of associations is reached",
}


def _items(b: bytes, pos: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(type, start, end) of the items in b[pos:end]."""
    while pos < end:
        if end - pos < 4:
            raise PduError("truncated item header")
        kind, length = _ITEM.unpack_from(b, pos)
        pos += 4
        if length > end - pos:
            raise PduError("item longer than its PDU")
        yield kind, pos, pos + length
        pos += length


def _text(b: bytes) -> str:
    try:
        return b.rstrip(b"\0 ").decode("ascii")
    except UnicodeDecodeError:
        raise PduError("text that is not ASCII") from None


def _counted(b: bytes, pos: int, end: int) -> tuple[bytes, int]:
    """A field preceded by its 16-bit length, and the position after it."""
    start = pos + 2
    stop = start + int.from_bytes(b[pos:start], "big")
    if start > end or stop > end:
        raise PduError("field longer than its item")
    return b[start:stop], stop


def decode_request(b: bytes) -> AssociateRequest:
    """An A-ASSOCIATE-RQ PDU, header included."""
    contexts: list[ProposedContext] = []
    fields = _fixed(b)
    for kind, pos, end in _items(b, 74, len(b)):
        if kind == 0x20:
            contexts.append(_proposed(b, pos, end))
        elif kind == 0x10:
            fields["application_context"] = _text(b[pos:end])
        elif kind == 0x50:
            fields |= _user_information(b, pos, end)
    fields.pop("user_identity_response", None)
    return AssociateRequest(contexts=tuple(contexts), **fields)  # type: ignore[arg-type]


def decode_accept(b: bytes) -> AssociateAccept:
    """An A-ASSOCIATE-AC PDU, header included."""
    results: list[ContextResult] = []
    fields = _fixed(b)
    for kind, pos, end in _items(b, 74, len(b)):
        if kind == 0x21:
            if end - pos < 4:
                raise PduError("short presentation context result")
            syntax = next((_text(b[p:e]) for k, p, e in _items(b, pos + 4, end) if k == 0x40), "")
            results.append(ContextResult(b[pos], b[pos + 2], syntax))
        elif kind == 0x10:
            fields["application_context"] = _text(b[pos:end])
        elif kind == 0x50:
            fields |= _user_information(b, pos, end)
    fields.pop("user_identity", None)
    fields.pop("common_extended", None)
    return AssociateAccept(results=tuple(results), **fields)  # type: ignore[arg-type]


def _fixed(b: bytes) -> dict[str, object]:
    if len(b) < 74:
        raise PduError("short A-ASSOCIATE PDU")
    return {
        "protocol_version": b[6] << 8 | b[7],
        # PS3.8 9.3.2: non-significant spaces; peers pad with NULs too. A title that is not ASCII equals none of ours.
        "called_ae_title": b[10:26].decode("latin-1").strip(" \0"),
        "calling_ae_title": b[26:42].decode("latin-1").strip(" \0"),
        "application_context": "",
    }


def _proposed(b: bytes, pos: int, end: int) -> ProposedContext:
    if end - pos < 4:
        raise PduError("short presentation context")
    syntaxes = b[pos + 4 : end]
    # A peer proposes the same contexts every time: short ones, as all ordinary ones are, are decoded once and cached.
    abstract, transfer = _syntaxes_cached(syntaxes) if len(syntaxes) <= 512 else _syntaxes(syntaxes)
    return ProposedContext(b[pos], abstract, transfer)


def _syntaxes(b: bytes) -> tuple[str, tuple[str, ...]]:
    abstract = None
    transfer: list[str] = []
    for kind, start, stop in _items(b, 0, len(b)):
        if kind == 0x40:
            transfer.append(_text(b[start:stop]))
        elif kind == 0x30:
            abstract = _text(b[start:stop])
    if abstract is None or not transfer:
        raise PduError("presentation context without syntax")
    return abstract, tuple(transfer)


_syntaxes_cached = lru_cache(4096)(_syntaxes)


def _user_information(b: bytes, pos: int, end: int) -> dict[str, object]:
    fields: dict[str, object] = {}
    roles: list[RoleSelection] = []
    extended: list[tuple[str, bytes]] = []
    common: list[tuple[str, str, tuple[str, ...]]] = []
    for kind, start, stop in _items(b, pos, end):
        if kind == 0x51 or kind == 0x53:
            if stop - start != 4:
                raise PduError("user information item of wrong length")
            high, low = int.from_bytes(b[start : start + 2], "big"), int.from_bytes(b[start + 2 : stop], "big")
            if kind == 0x51:
                fields["max_pdu_length"] = high << 16 | low
            else:
                fields["async_window"] = (high, low)
        elif kind == 0x52:
            fields["implementation_class_uid"] = _text(b[start:stop])
        elif kind == 0x55:
            # Informative only: never a reason to refuse.
            fields["implementation_version_name"] = b[start:stop].decode("ascii", "replace").strip(" \0")
        elif kind == 0x54:
            uid, after = _counted(b, start, stop)
            if stop - after < 2:
                raise PduError("short role selection")
            roles.append(RoleSelection(_text(uid), b[after] == 1, b[after + 1] == 1))
        elif kind == 0x56:
            uid, after = _counted(b, start, stop)
            extended.append((_text(uid), b[after:stop]))
        elif kind == 0x57:
            common.append(_common_extended(b, start, stop))
        elif kind == 0x58:
            if "user_identity" in fields:
                raise PduError("more than one user identity")  # PS3.7 D.3.3.7: one, or none
            fields["user_identity"] = _identity(b, start, stop)
        elif kind == 0x59:
            fields["user_identity_response"] = _counted(b, start, stop)[0]
    fields["roles"], fields["extended"] = tuple(roles), tuple(extended)
    fields["common_extended"] = tuple(common)
    return fields


def _common_extended(b: bytes, pos: int, end: int) -> tuple[str, str, tuple[str, ...]]:
    """PS3.7 D.3.3.6: SOP class, service class, related general SOP classes."""
    sop_class, pos = _counted(b, pos, end)
    service, pos = _counted(b, pos, end)
    related, _ = _counted(b, pos, end)
    uids: list[str] = []
    at = 0
    while at < len(related):
        uid, at = _counted(related, at, len(related))
        uids.append(_text(uid))
    return _text(sop_class), _text(service), tuple(uids)


def _identity(b: bytes, pos: int, end: int) -> UserIdentity:
    if end - pos < 2:
        raise PduError("short user identity")
    primary, after = _counted(b, pos + 2, end)
    secondary, _ = _counted(b, after, end)
    return UserIdentity(b[pos], b[pos + 1] == 1, primary, secondary)


# ---- encoding


def _item(kind: int, body: bytes) -> bytes:
    return _ITEM.pack(kind, len(body)) + body


def _ae(title: str) -> bytes:
    return title.encode("latin-1", "replace")[:_AE_FIELD].ljust(_AE_FIELD)


def _prefixed(uid: str) -> bytes:
    raw = uid.encode("ascii")
    return len(raw).to_bytes(2, "big") + raw


def encode_request(rq: AssociateRequest) -> bytes:
    """The A-ASSOCIATE-RQ PDU."""
    contexts = b"".join(
        _item(
            0x20,
            bytes((cx.id, 0, 0, 0))
            + _item(0x30, cx.abstract_syntax.encode("ascii"))
            + b"".join([_item(0x40, ts.encode("ascii")) for ts in cx.transfer_syntaxes]),
        )
        for cx in rq.contexts
    )
    extra = b"".join(
        _item(
            0x57,
            _prefixed(sop_class)
            + _prefixed(service)
            + (lambda r: len(r).to_bytes(2, "big") + r)(b"".join(map(_prefixed, related))),
        )
        for sop_class, service, related in rq.common_extended
    )
    if rq.user_identity is not None:
        identity = rq.user_identity
        extra += _item(
            0x58,
            bytes((identity.type, identity.response_requested))
            + len(identity.primary).to_bytes(2, "big")
            + identity.primary
            + len(identity.secondary).to_bytes(2, "big")
            + identity.secondary,
        )
    return _associate(1, rq, contexts, extra)


def encode_accept(ac: AssociateAccept) -> bytes:
    """The A-ASSOCIATE-AC PDU."""
    results = b"".join(
        [
            _item(0x21, bytes((r.id, 0, r.result, 0)) + _item(0x40, r.transfer_syntax.encode("ascii")))
            for r in ac.results
        ]
    )
    reply = ac.user_identity_response
    extra = b"" if reply is None else _item(0x59, len(reply).to_bytes(2, "big") + reply)
    return _associate(2, ac, results, extra)


def _associate(pdu_type: int, pdu: _Associate, contexts: bytes, extra: bytes) -> bytes:
    info = b"\x51\0\0\4" + pdu.max_pdu_length.to_bytes(4, "big")
    info += _item(0x52, pdu.implementation_class_uid.encode("ascii"))
    if pdu.async_window is not None:
        info += b"\x53\0\0\4" + b"".join(n.to_bytes(2, "big") for n in pdu.async_window)
    # PS3.7 D.3.3: sub-items in the order of their types, as most peers send them.
    info += b"".join(_item(0x54, _prefixed(role.sop_class_uid) + bytes((role.scu, role.scp))) for role in pdu.roles)
    if pdu.implementation_version_name:
        info += _item(0x55, pdu.implementation_version_name.encode("ascii")[:16])
    info += b"".join(_item(0x56, _prefixed(uid) + data) for uid, data in pdu.extended)
    body = (
        pdu.protocol_version.to_bytes(2, "big")
        + b"\0\0"
        + _ae(pdu.called_ae_title)
        + _ae(pdu.calling_ae_title)
        + bytes(32)
        + _item(0x10, pdu.application_context.encode("ascii"))
        + contexts
        + _item(0x50, info + extra)
    )
    return _HEAD.pack(pdu_type, len(body)) + body


def encode_reject(rj: AssociateReject) -> bytes:
    """The A-ASSOCIATE-RJ PDU."""
    return bytes((3, 0, 0, 0, 0, 4, 0, rj.result, rj.source, rj.reason))


RELEASE_RQ = b"\5\0\0\0\0\4\0\0\0\0"
RELEASE_RP = b"\6\0\0\0\0\4\0\0\0\0"


def encode_abort(source: int, reason: int) -> bytes:
    """The A-ABORT PDU (PS3.8 9.3.8); a user's abort (source 0) has no reason."""
    return bytes((7, 0, 0, 0, 0, 4, 0, 0, source, reason if source == 2 else 0))
