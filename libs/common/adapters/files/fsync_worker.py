"""A process that makes small objects durable. Imports the standard library only: it is started as a script, in 20 ms.

    python fsync_worker.py SOCKET MEMORY SLOT_SIZE ROOT DIRECT

Beside a busy event loop a thread pays for the interpreter's lock at every system call, and a durable object takes
eight: measured here, that was half of the processor time of a C-STORE. This process has its own lock. It shares memory
with its parent, so that an object's bytes are copied once, into the slot that O_DIRECT writes from.

Requests and answers are datagrams on a socket pair:
    request   slot (I), length (I), temp name, NUL, name; both relative to ROOT
    answer    any number of: slot (I), errno (I); 0 says that the object is durable under its name

Very small objects go through the page cache all the same: O_DIRECT writes whole blocks, and truncating the last one
costs more than a copy of a few pages. All waiting requests are one group: each object is written, synced (fdatasync)
and renamed; then one fsync per distinct folder makes all names durable. However the parent ends, its side of the socket
closes, and this process ends.
"""

import mmap
import os
import socket
import sys
from contextlib import suppress
from struct import Struct

REQUEST = Struct("=II")
ANSWER = Struct("=II")
LONGEST_REQUEST = 4096
_BLOCK = 4096
_DIRECT_FROM = 64 << 10
_GROUP = 16
_FOLDERS_KEPT_OPEN = 64


class DurableFolders:
    """The folders below a root: created if missing, durable in their parents, held open for fsync."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._open: dict[str, int] = {}

    def fd(self, folder: str) -> int:
        """The descriptor of a folder. A folder that this process sees for the first time is made durable in its parents
        even if it exists: another process may have created it but not synced it yet."""
        fd = self._open.get(folder)
        if fd is None:
            self._make(folder)
            while len(self._open) >= _FOLDERS_KEPT_OPEN:
                os.close(self._open.pop(next(iter(self._open))))
            fd = self._open[folder] = os.open(f"{self._root}/{folder}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return fd

    def forget(self) -> None:
        """Close all folders: one of them was removed."""
        while self._open:
            os.close(self._open.popitem()[1])

    def _make(self, folder: str) -> None:
        path = self._root
        for segment in folder.split("/"):
            parent, path = path, f"{path}/{segment}"
            if not os.path.isdir(path):
                try:
                    os.mkdir(path, 0o750)
                except FileExistsError:
                    if not os.path.isdir(path):
                        raise
            fd = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)


def make_durable(
    root: str, folders: DurableFolders, data: memoryview, length: int, temp: str, name: str, flags: int
) -> str:
    """Write an object and rename it. Returns the folder whose fsync makes the name durable. `data` is in whole blocks;
    its first `length` bytes are the object."""
    folder = name[: name.rindex("/")] if "/" in name else "."
    folders.fd(folder)
    path = f"{root}/{temp}"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | flags, 0o640)
    try:
        left = data if flags else data[:length]
        while left:
            left = left[os.write(fd, left) :]
        if flags and len(data) != length:
            os.ftruncate(fd, length)
        os.fdatasync(fd)
        try:
            os.rename(path, f"{root}/{name}")
        except FileNotFoundError:
            folders.forget()
            folders.fd(folder)
            os.rename(path, f"{root}/{name}")
    except BaseException:
        os.unlink(path)
        raise
    finally:
        os.close(fd)
    return folder


def _group(sock: socket.socket) -> list[bytes]:
    """The waiting requests, at least one; empty when the parent has ended."""
    requests = [sock.recv(LONGEST_REQUEST)]
    try:
        while requests[-1] and len(requests) < _GROUP:
            requests.append(sock.recv(LONGEST_REQUEST, socket.MSG_DONTWAIT))
    except BlockingIOError:
        pass
    return [request for request in requests if request]


def serve(sock: socket.socket, memory: memoryview, slot_size: int, root: str, flags: int) -> None:
    """Make objects durable until the parent ends."""
    folders = DurableFolders(root)
    while requests := _group(sock):
        answers: dict[int, int] = {}
        named: dict[str, list[int]] = {}
        for request in requests:
            slot, length = REQUEST.unpack_from(request)
            temp, name = request[REQUEST.size :].decode("ascii").split("\0")
            start = slot * slot_size
            data = memory[start : start + -(-length // _BLOCK) * _BLOCK]
            try:
                how = flags if length >= _DIRECT_FROM else 0
                named.setdefault(make_durable(root, folders, data, length, temp, name, how), []).append(slot)
            except OSError as error:
                answers[slot] = error.errno or 5
        for folder, slots in named.items():
            try:
                os.fsync(folders.fd(folder))
                answers.update(dict.fromkeys(slots, 0))
            except OSError as error:
                answers.update(dict.fromkeys(slots, error.errno or 5))
        sock.send(b"".join(ANSWER.pack(slot, number) for slot, number in answers.items()))


def _main(descriptor: str, memory: str, slot_size: str, root: str, direct: str) -> None:
    sock = socket.socket(fileno=int(descriptor))
    shared = memoryview(mmap.mmap(int(memory), 0))
    serve(sock, shared, int(slot_size), root, os.O_DIRECT if direct == "1" else 0)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt, ConnectionError):  # the parent decides when we end
        _main(*sys.argv[1:])
