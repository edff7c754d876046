"""`UpperLayer`: one association as a pure machine. Bytes in, indications out; requests in, bytes out.

The bytes of data sets are never assembled: `received` returns `Fragment`s whose data are views of the receive buffer,
as they arrive. The buffer may be shared by all associations of a process, since between two reads an association holds
only its own incomplete header or association PDU.

Errors of the peer never raise: they become an A-ABORT in the output and an `Aborted` indication. Errors of the local
user (calls for which table 9-10 has no cell) raise `RuntimeError`, since they are bugs in our code. One segment may
hold several PDUs, so an indication can be out of date when the user gets it: `owes_answer`, `owes_release` and
`may_release` show whether the answer is still allowed.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from gantry.common.ul.indications import (
    Aborted,
    Accepted,
    Fragment,
    Indication,
    Rejected,
    Released,
    ReleaseRequested,
    Requested,
)
from gantry.common.ul.pdu import (
    RELEASE_RP,
    RELEASE_RQ,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    PduError,
    decode_accept,
    decode_request,
    encode_abort,
    encode_accept,
    encode_reject,
    encode_request,
)
from gantry.common.ul.states import ACTIONS, TABLE, Effect, Event, State

_PDU_HEADER = Struct(">BBI").unpack_from
_PDV_HEADER = Struct(">IBB").unpack_from

# PS3.8 table 9-26: provider reasons of an A-ABORT.
UNRECOGNISED_PDU, UNEXPECTED_PDU, UNEXPECTED_PARAMETER, INVALID_PARAMETER = 1, 2, 5, 6


@dataclass(frozen=True, slots=True)
class PduLimits:
    """Lengths in bytes. `max_pdu_length` is what we announce (PS3.8 D.1); 0 would announce no limit, and is refused."""

    max_pdu_length: int = 131072
    max_associate_length: int = 262144
    max_discard: int = 16 << 20

    def __post_init__(self) -> None:
        if self.max_pdu_length < 4096:
            raise ValueError("max_pdu_length must be at least 4096")


_RECEIVED = {
    1: Event.EVT6,
    2: Event.EVT3,
    3: Event.EVT4,
    5: Event.EVT12,
    6: Event.EVT13,
    7: Event.EVT16,
}
WORKSPACE = 262144


class UpperLayer:
    """One association in the role of acceptor or requestor.

    After every call, the transport writes `take_output()`, runs the ARTIM timer while `artim` is true, and closes the
    connection once `closing` is true.
    """

    __slots__ = (
        "_carry",
        "_control",
        "_control_left",
        "_control_type",
        "_deaf",
        "_discarded",
        "_ends",
        "_fragment_left",
        "_is_command",
        "_limits",
        "_output",
        "_pdu_left",
        "_pdv_context",
        "_requestor",
        "_skip_left",
        "_workspace",
        "artim",
        "closing",
        "state",
    )

    def __init__(
        self, *, requestor: bool, limits: PduLimits | None = None, workspace: memoryview | None = None
    ) -> None:
        self._requestor = requestor
        self._limits = limits or PduLimits()
        self._workspace = workspace if workspace is not None else memoryview(bytearray(WORKSPACE))
        self.state = State.STA1
        self.artim = False
        self.closing = False
        self._output: list[bytes] = []
        self._carry = b""
        self._control = bytearray()
        self._control_type = self._control_left = 0
        self._pdu_left = self._fragment_left = self._skip_left = self._pdv_context = 0
        self._is_command = self._ends = False
        self._deaf = False
        self._discarded = 0

    # ---- the transport's side

    @property
    def mid_pdu(self) -> bool:
        """Whether a PDU is partly received."""
        return bool(self._pdu_left or self._fragment_left or self._control_left or self._skip_left or self._carry)

    def take_output(self) -> bytes:
        """The bytes to write now."""
        if not self._output:
            return b""
        data = b"".join(self._output)
        self._output.clear()
        return data

    def connected(self) -> None:
        """The transport connection of an acceptor is open (Evt5): ARTIM runs until the A-ASSOCIATE-RQ arrives."""
        self._run(Event.EVT5, [])

    def get_buffer(self) -> memoryview:
        """The buffer for the next bytes."""
        carry = self._carry
        if carry:
            self._workspace[: len(carry)] = carry
            return self._workspace[len(carry) :]
        return self._workspace

    def received(self, count: int) -> list[Indication]:
        """`count` bytes were put into the buffer. Returns the resulting indications."""
        end = len(self._carry) + count
        self._carry = b""
        out: list[Indication] = []
        if self._deaf:
            return out
        if self.state is State.STA1 or self.state is State.STA4:
            # Table 9-10 has no cell: a server that sends first is not a DICOM server.
            self._deaf = self.closing = True
            out.append(Aborted(2, UNEXPECTED_PDU, False, "the peer spoke before it was asked"))
            return out
        try:
            self._parse(end, out)
        except PduError as error:
            self._invalid(error, out)
        return out

    def feed(self, data: bytes) -> list[Indication]:
        """`received` for bytes outside the buffer; the fragments are copies and stay valid."""
        out: list[Indication] = []
        view = memoryview(data)
        while view:
            room = self.get_buffer()
            count = min(len(room), len(view))
            room[:count] = view[:count]
            for indication in self.received(count):
                out.append(
                    indication._replace(data=memoryview(bytes(indication.data)))
                    if type(indication) is Fragment
                    else indication
                )
            view = view[count:]
        return out

    def connection_lost(self) -> list[Indication]:
        """The transport connection is closed (Evt17)."""
        out: list[Indication] = []
        if self.state is not State.STA1:
            self._run(Event.EVT17, out)
        self.closing = True
        return out

    def artim_expired(self) -> list[Indication]:
        """The ARTIM timer ran out (Evt18)."""
        out: list[Indication] = []
        if (Event.EVT18, self.state) in TABLE:
            self._run(Event.EVT18, out)
        return out

    # ---- the local user's side

    def request(self, rq: AssociateRequest) -> None:
        """A-ASSOCIATE request over a connection that is open (Evt1, Evt2)."""
        self._run(Event.EVT1, [])
        self._run(Event.EVT2, [], encode_request(rq))

    def accept(self, ac: AssociateAccept) -> None:
        """A-ASSOCIATE response, accept (Evt7)."""
        self._run(Event.EVT7, [], encode_accept(ac))

    def reject(self, rj: AssociateReject) -> None:
        """A-ASSOCIATE response, reject (Evt8)."""
        self._run(Event.EVT8, [], encode_reject(rj))

    @property
    def owes_answer(self) -> bool:
        """Whether `accept` or `reject` is due (Evt7, Evt8)."""
        return self.state is State.STA3

    @property
    def owes_release(self) -> bool:
        """Whether `answer_release` is due (Evt14)."""
        return (Event.EVT14, self.state) in TABLE

    @property
    def may_release(self) -> bool:
        """Whether `release` may be called (Evt11)."""
        return self.state is State.STA6

    @property
    def may_send(self) -> bool:
        """Whether P-DATA may be sent (Evt9): PS3.8 allows it in Sta6, and in Sta8 to finish before the release."""
        return self.state is State.STA6 or self.state is State.STA8

    def release(self) -> None:
        """A-RELEASE request (Evt11)."""
        self._run(Event.EVT11, [])

    def answer_release(self) -> None:
        """A-RELEASE response (Evt14)."""
        self._run(Event.EVT14, [])

    def abort(self) -> None:
        """A-ABORT request (Evt15); does nothing if there is no association to abort."""
        if (Event.EVT15, self.state) in TABLE:
            self._run(Event.EVT15, [])
        elif self.state is State.STA2:
            self._run(Event.EVT19, [])

    def refuse(self, error: PduError) -> list[Indication]:
        """The layer above found the peer's data invalid (Evt19)."""
        out: list[Indication] = []
        self._invalid(error, out)
        return out

    # ---- the machine

    def _run(self, event: Event, out: list[Indication], pdu: bytes = b"", indication: Indication | None = None) -> None:
        action = TABLE.get((event, self.state))
        if action is None:
            raise RuntimeError(f"{event.name} cannot happen in {self.state.name}")
        effects, states = ACTIONS[action]
        # AR-8: the requestor of the association goes on in Sta9, the acceptor in Sta10, with its indication in Sta12.
        self.state = states[-1 if action == "AR-8" and not self._requestor else 0]
        for effect in effects:
            self._perform(effect, action, pdu, indication, out)

    def _perform(
        self, effect: Effect, action: str, pdu: bytes, indication: Indication | None, out: list[Indication]
    ) -> None:
        if effect is Effect.INDICATE:
            if action == "AR-10":
                indication = ReleaseRequested()
            if indication is not None and self.state is not State.STA10:
                out.append(indication)
        elif effect is Effect.INDICATE_ABORT:
            lost = Aborted(2, 0, False, "the connection was lost")
            out.append(indication if isinstance(indication, Aborted) else lost)
        elif effect is Effect.START_ARTIM:
            self.artim = True
        elif effect is Effect.STOP_ARTIM:
            self.artim = False
        elif effect is Effect.CLOSE:
            self.closing, self._deaf = True, True
        elif effect is Effect.SEND_ABORT_PROVIDER:
            why = indication.reason if isinstance(indication, Aborted) else UNEXPECTED_PDU
            self._output.append(encode_abort(2, why))
        else:
            self._output.append(_SENDS.get(effect, pdu))

    def _invalid(self, error: PduError, out: list[Indication]) -> None:
        """Evt19. Nothing more is parsed: after a framing error the bytes that follow cannot be interpreted."""
        self._deaf = True
        self._forget()
        if (Event.EVT19, self.state) in TABLE:
            self._run(Event.EVT19, out, indication=Aborted(2, error.reason, False, str(error)))

    def _forget(self) -> None:
        self._carry = b""
        self._control.clear()
        self._control_left = self._pdu_left = self._fragment_left = self._skip_left = 0

    # ---- framing

    def _parse(self, end: int, out: list[Indication]) -> None:
        workspace = self._workspace
        pos = 0
        while pos < end:
            if self._fragment_left:
                pos = self._take_fragment(pos, end, out)
            elif self._pdu_left:
                if end - pos < 6:
                    break
                length, context_id, control = _PDV_HEADER(workspace, pos)
                self._begin_fragment(length, context_id, control, out)
                pos += 6
            elif self._skip_left:
                count = min(self._skip_left, end - pos)
                pos += count
                self._skip(count)
            elif self._control_left:
                pos = self._take_control(pos, end, out)
            else:
                if end - pos < 6:
                    # Reject bytes that cannot be DICOM at the first one, not after a deadline.
                    self._check_type(workspace[pos])
                    break
                pdu_type, _, pdu_length = _PDU_HEADER(workspace, pos)
                self._begin_pdu(pdu_type, pdu_length, out)
                pos += 6
            if self._deaf:
                return
        if pos < end:
            self._carry = bytes(workspace[pos:end])

    @staticmethod
    def _check_type(pdu_type: int) -> None:
        if not 1 <= pdu_type <= 7:
            raise PduError(f"unrecognised PDU type {pdu_type:#04x}", UNRECOGNISED_PDU)

    def _begin_pdu(self, pdu_type: int, length: int, out: list[Indication]) -> None:
        self._check_type(pdu_type)
        if pdu_type == 4:
            if self.state is State.STA6 or self.state is State.STA7:
                # PS3.8 D.1.1: never longer than what we announced.
                if not 6 <= length <= self._limits.max_pdu_length:
                    raise PduError(f"P-DATA-TF of length {length}", INVALID_PARAMETER)
                self._pdu_left = length
                return
            self._run(Event.EVT10, out, indication=Aborted(2, UNEXPECTED_PDU, False, "P-DATA-TF not expected"))
            self._skip_left = length
            return
        limit = self._limits.max_associate_length if pdu_type <= 2 else 4
        if length > limit or (pdu_type > 2 and length != 4):
            raise PduError(f"PDU of type {pdu_type} and length {length}", INVALID_PARAMETER)
        self._control_type, self._control_left = pdu_type, length
        self._control += _head(pdu_type, length)
        if not length:
            raise PduError(f"empty PDU of type {pdu_type}", INVALID_PARAMETER)

    def _skip(self, count: int) -> None:
        self._skip_left -= count
        self._discard(count)

    def _discard(self, count: int) -> None:
        """Discard bytes after the end of the association; a peer that does not close in time is cut off."""
        self._discarded += count
        if self._discarded > self._limits.max_discard:
            self.closing, self._deaf = True, True

    def _take_control(self, pos: int, end: int, out: list[Indication]) -> int:
        count = min(self._control_left, end - pos)
        self._control += self._workspace[pos : pos + count]
        self._control_left -= count
        if not self._control_left:
            raw = bytes(self._control)
            self._control.clear()
            self._control_pdu(self._control_type, raw, out)
        return pos + count

    def _begin_fragment(self, length: int, context_id: int, control: int, out: list[Indication]) -> None:
        # PS3.8 9.3.5.1: the item length counts the context id and the message control header.
        if length < 2 or length + 4 > self._pdu_left:
            raise PduError(f"PDV of length {length}", INVALID_PARAMETER)
        self._pdu_left -= length + 4
        if 0 < self._pdu_left < 6:
            raise PduError("P-DATA-TF with a truncated PDV", INVALID_PARAMETER)
        self._fragment_left = length - 2
        self._pdv_context = context_id
        # PS3.8 E.2: bit 0 command, bit 1 last fragment; the other bits are not tested.
        self._is_command, self._ends = bool(control & 1), bool(control & 2)
        if length == 2 and self._ends:
            out.append(Fragment(context_id, self._is_command, True, self._workspace[:0]))

    def _take_fragment(self, pos: int, end: int, out: list[Indication]) -> int:
        left = self._fragment_left
        if end - pos < left:
            self._fragment_left = left - (end - pos)
            out.append(Fragment(self._pdv_context, self._is_command, False, self._workspace[pos:end]))
            return end
        self._fragment_left = 0
        stop = pos + left
        out.append(Fragment(self._pdv_context, self._is_command, self._ends, self._workspace[pos:stop]))
        return stop

    def _control_pdu(self, pdu_type: int, raw: bytes, out: list[Indication]) -> None:
        event = _RECEIVED[pdu_type]
        action = TABLE[event, self.state]
        if self.state is State.STA13:
            self._discard(len(raw))
        indication: Indication | None = None
        if action == "AE-6":
            indication = Requested(decode_request(raw))
            # PS3.8 9.3.2: only bit 0 of the protocol version is tested.
            if not indication.request.protocol_version & 1:
                self.state = State.STA3
                self.artim = False
                self.reject(AssociateReject(1, 2, 2))
                return
        elif action == "AE-3":
            indication = Accepted(decode_accept(raw))
        elif action == "AE-4":
            indication = Rejected(AssociateReject(raw[7], raw[8], raw[9]))
        elif action == "AA-8":
            indication = Aborted(2, UNEXPECTED_PDU, False, f"PDU of type {pdu_type} not expected in {self.state.name}")
        elif pdu_type == 7:
            indication = Aborted(raw[8], raw[9], True, "the peer aborted")
        elif action in ("AR-2", "AR-8"):
            indication = ReleaseRequested()
        elif action == "AR-3":
            indication = Released()
        self._run(event, out, indication=indication)


_SENDS = {
    Effect.SEND_RELEASE_RQ: RELEASE_RQ,
    Effect.SEND_RELEASE_RP: RELEASE_RP,
    Effect.SEND_ABORT_USER: encode_abort(0, 0),
    Effect.CONNECT: b"",
}


def _head(pdu_type: int, length: int) -> bytes:
    return bytes((pdu_type, 0)) + length.to_bytes(4, "big")
