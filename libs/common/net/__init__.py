"""The asyncio skin around the protocol: server, client, time-outs, back-pressure, TLS, drain.

It owns the sockets, timers and tasks, and the interface between a service and the network (`service`). It does not
know the stores, the event log, or any particular service.
"""

from gantry.common.net.association import Association
from gantry.common.net.client import Peer, connect
from gantry.common.net.server import Server
from gantry.common.net.server_state import ServerLimits
from gantry.common.net.service import Request, Service
from gantry.common.net.sinks import MemorySink, Sink, Source

__all__ = [
    "Association",
    "MemorySink",
    "Peer",
    "Request",
    "Server",
    "ServerLimits",
    "Service",
    "Sink",
    "Source",
    "connect",
]
