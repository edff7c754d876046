"""The program of a worker process: it codes one block after the other until its input ends.

python -m gantry.common.runtime.packed.worker
"""

from __future__ import annotations

import resource
import signal
import sys
from struct import Struct
from typing import Any, BinaryIO

import msgpack

LENGTH = Struct("<I")
"""The length before each message, which is msgpack."""
MOST = 16 << 20
"""Most bytes of a message."""
_MEMORY = 2 << 30


def main() -> None:
    """Serve requests from standard input. Its end means that the parent has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while (request := _message(sys.stdin.buffer)) is not None:
        answer = msgpack.packb(_perform(*msgpack.unpackb(request)))
        sys.stdout.buffer.write(LENGTH.pack(len(answer)))
        sys.stdout.buffer.write(answer)
        sys.stdout.buffer.flush()


def _message(file: BinaryIO) -> bytes | None:
    length = file.read(LENGTH.size)
    if len(length) < LENGTH.size:
        return None
    return file.read(LENGTH.unpack(length)[0])


def _perform(operation: str, data: bytes, numbers: list[int]) -> list[Any]:
    """`numbers` are those of the strip, if there is one, or of the block."""
    # Imported here, since only this process needs it: its parent imports this module, too.
    from gantry.common.dicom.packing.coding import pack, unpack
    from gantry.common.dicom.packing.cutting import Cut, Strip
    from gantry.common.dicom.packing.form import Block, Coding
    from gantry.common.errors import Corrupt

    if operation == "pack":
        block, stored = pack(Cut(data, Strip(*numbers) if numbers else None))
        return [list(block), stored]
    try:
        return [None, unpack(Block(Coding(numbers[0]), *numbers[1:]), data)]
    except Corrupt as error:
        return [str(error), b""]


if __name__ == "__main__":
    main()
