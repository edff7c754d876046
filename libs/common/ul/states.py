"""PS3.8 table 9-10, the state machine of the upper layer, as a table.

An event in a state leads to an action; an action has effects and a next state. AE-6 and AR-8 have two next states;
the caller of the machine decides which (acceptable request, requestor role). Cells that the standard leaves empty
cannot occur: the local user or the transport would have broken its own rules.
"""

from __future__ import annotations

from enum import Enum, auto


class State(Enum):
    """PS3.8 9.2.2, tables 9-1 to 9-5."""

    STA1 = 1  # idle
    STA2 = 2  # transport connection open, awaiting A-ASSOCIATE-RQ
    STA3 = 3  # awaiting the local user's A-ASSOCIATE response
    STA4 = 4  # awaiting the transport connection
    STA5 = 5  # awaiting A-ASSOCIATE-AC or -RJ
    STA6 = 6  # association established, ready for data
    STA7 = 7  # awaiting A-RELEASE-RP
    STA8 = 8  # awaiting the local user's A-RELEASE response
    STA9 = 9  # release collision, requestor: awaiting the local user's response
    STA10 = 10  # release collision, acceptor: awaiting A-RELEASE-RP
    STA11 = 11  # release collision, requestor: awaiting A-RELEASE-RP
    STA12 = 12  # release collision, acceptor: awaiting the local user's response
    STA13 = 13  # awaiting the peer's close of the transport connection


class Event(Enum):
    """PS3.8 table 9-10, column of events."""

    EVT1 = 1  # A-ASSOCIATE request (local user)
    EVT2 = 2  # transport connect confirmation
    EVT3 = 3  # A-ASSOCIATE-AC received
    EVT4 = 4  # A-ASSOCIATE-RJ received
    EVT5 = 5  # transport connection indication
    EVT6 = 6  # A-ASSOCIATE-RQ received
    EVT7 = 7  # A-ASSOCIATE response, accept (local user)
    EVT8 = 8  # A-ASSOCIATE response, reject (local user)
    EVT9 = 9  # P-DATA request (local user)
    EVT10 = 10  # P-DATA-TF received
    EVT11 = 11  # A-RELEASE request (local user)
    EVT12 = 12  # A-RELEASE-RQ received
    EVT13 = 13  # A-RELEASE-RP received
    EVT14 = 14  # A-RELEASE response (local user)
    EVT15 = 15  # A-ABORT request (local user)
    EVT16 = 16  # A-ABORT received
    EVT17 = 17  # transport connection closed
    EVT18 = 18  # ARTIM expired
    EVT19 = 19  # unrecognised or invalid PDU received


class Effect(Enum):
    """What an action does, in the order it is listed."""

    CONNECT = auto()
    SEND_ASSOCIATE_RQ = auto()
    SEND_ASSOCIATE_AC = auto()
    SEND_ASSOCIATE_RJ = auto()
    SEND_DATA = auto()
    SEND_RELEASE_RQ = auto()
    SEND_RELEASE_RP = auto()
    SEND_ABORT_USER = auto()
    SEND_ABORT_PROVIDER = auto()
    INDICATE = auto()
    INDICATE_ABORT = auto()
    START_ARTIM = auto()
    STOP_ARTIM = auto()
    CLOSE = auto()


_E, _S = Effect, State

# PS3.8 tables 9-6 to 9-9.
ACTIONS: dict[str, tuple[tuple[Effect, ...], tuple[State, ...]]] = {
    "AE-1": ((_E.CONNECT,), (_S.STA4,)),
    "AE-2": ((_E.SEND_ASSOCIATE_RQ,), (_S.STA5,)),
    "AE-3": ((_E.INDICATE,), (_S.STA6,)),
    "AE-4": ((_E.INDICATE, _E.CLOSE), (_S.STA1,)),
    "AE-5": ((_E.START_ARTIM,), (_S.STA2,)),
    "AE-6": ((_E.STOP_ARTIM, _E.INDICATE), (_S.STA3, _S.STA13)),
    "AE-7": ((_E.SEND_ASSOCIATE_AC,), (_S.STA6,)),
    "AE-8": ((_E.SEND_ASSOCIATE_RJ, _E.START_ARTIM), (_S.STA13,)),
    "DT-1": ((_E.SEND_DATA,), (_S.STA6,)),
    "DT-2": ((_E.INDICATE,), (_S.STA6,)),
    "AR-1": ((_E.SEND_RELEASE_RQ,), (_S.STA7,)),
    "AR-2": ((_E.INDICATE,), (_S.STA8,)),
    "AR-3": ((_E.INDICATE, _E.CLOSE), (_S.STA1,)),
    "AR-4": ((_E.SEND_RELEASE_RP, _E.START_ARTIM), (_S.STA13,)),
    "AR-5": ((_E.STOP_ARTIM,), (_S.STA1,)),
    "AR-6": ((_E.INDICATE,), (_S.STA7,)),
    "AR-7": ((_E.SEND_DATA,), (_S.STA8,)),
    "AR-8": ((_E.INDICATE,), (_S.STA9, _S.STA10)),
    "AR-9": ((_E.SEND_RELEASE_RP,), (_S.STA11,)),
    "AR-10": ((_E.INDICATE,), (_S.STA12,)),
    "AA-1": ((_E.SEND_ABORT_USER, _E.START_ARTIM), (_S.STA13,)),
    "AA-2": ((_E.STOP_ARTIM, _E.CLOSE), (_S.STA1,)),
    "AA-3": ((_E.INDICATE_ABORT, _E.CLOSE), (_S.STA1,)),
    "AA-4": ((_E.INDICATE_ABORT,), (_S.STA1,)),
    "AA-5": ((_E.STOP_ARTIM,), (_S.STA1,)),
    "AA-6": ((), (_S.STA13,)),
    "AA-7": ((_E.SEND_ABORT_PROVIDER,), (_S.STA13,)),
    "AA-8": ((_E.SEND_ABORT_PROVIDER, _E.INDICATE_ABORT, _E.START_ARTIM), (_S.STA13,)),
}

# One row per event; one column per state, Sta1 to Sta13.
_ROWS = """
Evt1   AE-1 .    .    .    .    .    .    .    .     .    .    .    .
Evt2   .    .    .    AE-2 .    .    .    .    .     .    .    .    .
Evt3   .    AA-1 AA-8 .    AE-3 AA-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-8 AA-6
Evt4   .    AA-1 AA-8 .    AE-4 AA-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-8 AA-6
Evt5   AE-5 .    .    .    .    .    .    .    .     .    .    .    .
Evt6   .    AE-6 AA-8 .    AA-8 AA-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-8 AA-7
Evt7   .    .    AE-7 .    .    .    .    .    .     .    .    .    .
Evt8   .    .    AE-8 .    .    .    .    .    .     .    .    .    .
Evt9   .    .    .    .    .    DT-1 .    AR-7 .     .    .    .    .
Evt10  .    AA-1 AA-8 .    AA-8 DT-2 AR-6 AA-8 AA-8  AA-8 AA-8 AA-8 AA-6
Evt11  .    .    .    .    .    AR-1 .    .    .     .    .    .    .
Evt12  .    AA-1 AA-8 .    AA-8 AR-2 AR-8 AA-8 AA-8  AA-8 AA-8 AA-8 AA-6
Evt13  .    AA-1 AA-8 .    AA-8 AA-8 AR-3 AA-8 AA-8 AR-10 AR-3 AA-8 AA-6
Evt14  .    .    .    .    .    .    .    AR-4 AR-9  .    .    AR-4 .
Evt15  .    .    AA-1 AA-2 AA-1 AA-1 AA-1 AA-1 AA-1  AA-1 AA-1 AA-1 .
Evt16  .    AA-2 AA-3 .    AA-3 AA-3 AA-3 AA-3 AA-3  AA-3 AA-3 AA-3 AA-2
Evt17  .    AA-5 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4  AA-4 AA-4 AA-4 AR-5
Evt18  .    AA-2 .    .    .    .    .    .    .     .    .    .    AA-2
Evt19  .    AA-1 AA-8 .    AA-8 AA-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-8 AA-7
"""


def _parse(rows: str) -> dict[tuple[Event, State], str]:
    table = {}
    for row in rows.split("\n")[1:-1]:
        name, *cells = row.split()
        for state, cell in zip(State, cells, strict=True):
            if cell != ".":
                table[Event(int(name[3:])), state] = cell
    return table


TABLE = _parse(_ROWS)
