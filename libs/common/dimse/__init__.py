"""DIMSE messages (PS3.7) on top of the upper layer, without I/O.

It has command sets as values and bytes (PS3.7 6.3, Annex E), assembles fragments into messages while data sets stream
through, and cuts messages into PDUs of the size that the peer announced. It has no sockets, event loop or clock, and
does not know what a service does with a message.
"""

from gantry.common.dimse.assembler import Assembler, CommandReceived, DataReceived, DimseError
from gantry.common.dimse.command import Command, CommandError, CommandField, Element, name_of, response_to
from gantry.common.dimse.fragmenter import PduFrame, message_pdus

__all__ = [
    "Assembler",
    "Command",
    "CommandError",
    "CommandField",
    "CommandReceived",
    "DataReceived",
    "DimseError",
    "Element",
    "PduFrame",
    "message_pdus",
    "name_of",
    "response_to",
]
