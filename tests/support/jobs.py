"""Jobs for worker processes that fail like decoders."""

from __future__ import annotations

import os
import time
from pathlib import Path

from gantry.services.retrieve.pixels.worker import Files

MODULE = "tests.support.jobs"
ECHO, SLEEP, SPIN, EAT = (MODULE, "echo"), (MODULE, "sleep"), (MODULE, "spin"), (MODULE, "eat")
CRASH, CRASH_ONCE, UNREADABLE = (MODULE, "crash"), (MODULE, "crash_once"), (MODULE, "unreadable")


def echo(files: Files, word: str) -> str:
    """Copy the input to the output; returns `word`."""
    files.write(files.input)
    return word


def sleep(files: Files, seconds: float, begun: str = "") -> str:
    """Create a file as the sign of the start, and sleep."""
    if begun:
        Path(begun).write_text(str(os.getpid()))
    time.sleep(seconds)
    return "slept"


def spin(files: Files) -> None:
    """Never end, and use the processor."""
    while True:
        pass


def eat(files: Files, count: int) -> int:
    """Take so many bytes of memory."""
    return len(bytearray(count))


def crash(files: Files) -> None:
    """Crash like a decoder with a bug."""
    os.abort()


def crash_once(files: Files, mark: str) -> str:
    """Crash the first time only."""
    if not Path(mark).exists():
        Path(mark).touch()
        os.abort()
    return "well"


def unreadable(files: Files, number: int) -> None:
    """Raise a decoder's error: about the data, without an error number (0), or of the system."""
    if number:
        raise OSError(number, "content of the object")
    raise OSError("content of the object")
