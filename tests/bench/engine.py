"""The engine alone as a server: `python -m tests.bench.engine PORT FOLDER [PROXY_FROM]`.

Where FOLDER is the null device, objects go there."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path

import uvloop

from gantry.common.dicom.standard.sop_classes import STORAGE_SOP_CLASSES, VERIFICATION
from gantry.common.net import Association, MemorySink, Request, Server, ServerLimits, Sink
from gantry.common.ul import Ability, AssociateReject, AssociateRequest

_NOWHERE = Path(os.devnull)


class _ToFile:
    def __init__(self, folder: Path, request: Request) -> None:
        path = folder if folder == _NOWHERE else folder / f"{request.command.sop_instance_uid}.dcm"
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC)

    def write(self, views: Sequence[memoryview]) -> bool:
        os.writev(self._fd, views)
        return True

    async def ready(self) -> None:
        return None

    async def discard(self) -> None:
        os.close(self._fd)

    def close(self) -> None:
        os.close(self._fd)


class _Files:
    def __init__(self, folder: Path) -> None:
        self.abilities = dict.fromkeys((*STORAGE_SOP_CLASSES.values(), VERIFICATION), Ability())
        self._folder = folder

    def receive(self, request: Request) -> Sink:
        return _ToFile(self._folder, request) if request.command.field == 1 else MemorySink()

    async def perform(self, request: Request) -> None:
        if isinstance(request.sink, _ToFile):
            request.sink.close()
        await request.respond(0)


class _Quiet:
    def admit(self, request: AssociateRequest, peer_address: str, tls: bool, certificate: str) -> None:
        return None

    def opened(self, association: Association) -> None: ...

    def rejected(self, request: AssociateRequest, reject: AssociateReject, peer_address: str) -> None: ...

    def failed(self, peer_address: str, why: str, certificate: str = "") -> None: ...

    def message(self, association: Association, field: int, seconds: float) -> None: ...

    def closed(self, association: Association, outcome: str) -> None: ...


async def _serve(port: int, folder: Path, *proxies: str) -> None:
    trusted = tuple(map(ip_network, proxies))
    limits = ServerLimits(associations=2000, associations_per_peer=2000, proxy_from=trusted)
    server = Server([_Files(folder)], _Quiet(), _Quiet(), limits=limits)
    await server.start("127.0.0.1", port)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]))
