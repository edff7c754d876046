"""Senders: DCMTK's `storescu`, and cheap senders, as if they were other machines.

    python -m tests.bench.senders PORT FOLDER [--nagle] [--tls]

A lean sender associates, makes every PDU of its files in advance, prints "ready", waits for a line, sends (one request
at a time, as `storescu` does) and prints "done". Senders and receiver share two cores here: `storescu` takes as much
processor time for a CT as a fast receiver does, so that ratios between receivers shrink. A lean one takes a fifth.
"""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from gantry.cli.files import DicomFile, look, walk
from gantry.common.dimse import Command, CommandField, Element, message_pdus
from gantry.common.dimse.fragmenter import HEADER
from gantry.common.ul import AssociateRequest, ProposedContext
from gantry.common.ul.pdu import decode_accept, encode_request
from tests.bench.contestants import ROOT
from tests.bench.machine import settle

Sender = Callable[[int, list[Path], bool], float]
"""Seconds that as many senders as folders take to send these to a port, with Nagle's algorithm on or off."""


def storescu(port: int, folders: list[Path], nagle: bool = False) -> float:
    """As many `storescu` as folders; their start and association are in the seconds."""
    settle()
    environment = {k: v for k, v in os.environ.items() if k != "TCP_NODELAY"}
    if not nagle:
        environment["TCP_NODELAY"] = "1"
    started = time.perf_counter()
    senders = [
        subprocess.Popen(
            ["storescu", "-aec", "GANTRY", "+sd", "127.0.0.1", str(port), str(folder)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for folder in folders
    ]
    for sender in senders:
        _, errors = sender.communicate()
        if sender.returncode:
            raise RuntimeError(f"storescu failed: {errors.decode()[-300:]}")
    return time.perf_counter() - started


def lean(port: int, folders: list[Path], nagle: bool = False, tls: bool = False) -> float:
    """As many lean senders as folders, from the first request to the last response; over TLS, whoever answers."""
    options = [*["--nagle"] * nagle, *["--tls"] * tls]
    senders = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.bench.senders", str(port), str(folder), *options],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for folder in folders
    ]
    try:
        for sender in senders:
            _expect(sender, b"ready\n")
        settle()
        started = time.perf_counter()
        for sender in senders:
            assert sender.stdin is not None
            sender.stdin.write(b"go\n")
            sender.stdin.flush()
        for sender in senders:
            _expect(sender, b"done\n")
        return time.perf_counter() - started
    finally:
        for sender in senders:
            sender.communicate()


def _expect(sender: subprocess.Popen[bytes], line: bytes) -> None:
    assert sender.stdout is not None
    if sender.stdout.readline() != line:
        raise RuntimeError("a lean sender failed")


def _main(port: str, folder: str, *options: str) -> None:
    nagle = "--nagle" in options
    files = [file for file in map(look, walk([Path(folder)])) if isinstance(file, DicomFile)]
    with socket.create_connection(("127.0.0.1", int(port))) as plain:
        if not nagle:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock = _wrapped(plain) if "--tls" in options else plain
        contexts, peer_max = _associate(sock, files)
        messages = [_message(contexts, peer_max, number, file, nagle) for number, file in enumerate(files)]
        print("ready", flush=True)
        sys.stdin.readline()
        for message in messages:
            for part in message:
                sock.sendall(part)
            response = Command.decode(read_pdu(sock)[HEADER:])
            if response.status:
                raise RuntimeError(f"{response}")
        print("done", flush=True)
        sock.sendall(b"\5\0\0\0\0\4\0\0\0\0")
        read_pdu(sock)


def _associate(sock: socket.socket, files: list[DicomFile]) -> tuple[dict[tuple[str, str], int], int]:
    """Context IDs by SOP class and transfer syntax, and the peer's maximum PDU length."""
    pairs = sorted({(file.sop_class_uid, file.transfer_syntax_uid) for file in files})
    contexts = {pair: 2 * number + 1 for number, pair in enumerate(pairs)}
    proposed = tuple(ProposedContext(id, sop_class, (syntax,)) for (sop_class, syntax), id in contexts.items())
    sock.sendall(encode_request(AssociateRequest("GANTRY", "LEAN", 16384, "1.2.3", "LEAN", contexts=proposed)))
    accept = decode_accept(read_pdu(sock))
    if any(result.result for result in accept.results):
        raise RuntimeError("a presentation context was refused")
    return contexts, accept.max_pdu_length


def _message(
    contexts: dict[tuple[str, str], int], peer_max: int, number: int, file: DicomFile, split: bool
) -> list[bytes]:
    """A C-STORE request, in one piece or in pieces as DCMTK writes them: each PDU's header by itself."""
    command = Command(
        {
            Element.AFFECTED_SOP_CLASS_UID: file.sop_class_uid,
            Element.COMMAND_FIELD: int(CommandField.C_STORE_RQ),
            Element.MESSAGE_ID: number + 1,
            Element.PRIORITY: 0,
            Element.AFFECTED_SOP_INSTANCE_UID: file.sop_instance_uid,
        }
    ).encode(data_set=True)
    context = contexts[file.sop_class_uid, file.transfer_syntax_uid]
    data = file.path.read_bytes()[file.offset :]
    # A maximum too small for both keeps them in PDUs of their own.
    pdus = message_pdus(context, command, data, min(peer_max or 131072, len(data) + 6) if split else peer_max)
    return _pieces(pdus) if split else [pdus]


def _pieces(pdus: bytes) -> list[bytes]:
    pieces, pos = [], 0
    while pos < len(pdus):
        end = pos + 6 + int.from_bytes(pdus[pos + 2 : pos + 6], "big")
        pieces += [pdus[pos : pos + HEADER], pdus[pos + HEADER : end]]
        pos = end
    return pieces


def _wrapped(sock: socket.socket) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(sock)


def read_pdu(sock: socket.socket) -> bytes:
    """One PDU, header included."""
    head = _exactly(sock, 6)
    return head + _exactly(sock, int.from_bytes(head[2:6], "big"))


def _exactly(sock: socket.socket, size: int) -> bytes:
    if not isinstance(sock, ssl.SSLSocket):
        return sock.recv(size, socket.MSG_WAITALL)
    data = b""
    while len(data) < size and (more := sock.recv(size - len(data))):
        data += more
    return data


if __name__ == "__main__":
    _main(*sys.argv[1:])
