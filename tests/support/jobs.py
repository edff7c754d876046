"""Jobs for worker processes that do what decoders do on a bad day."""

from __future__ import annotations

import os
import time
from pathlib import Path

from gantry.services.retrieve.pixels.worker import Files

MODULE = "tests.support.jobs"
ECHO, SLEEP, SPIN, EAT = (MODULE, "echo"), (MODULE, "sleep"), (MODULE, "spin"), (MODULE, "eat")
CRASH, CRASH_ONCE, UNREADABLE = (MODULE, "crash"), (MODULE, "crash_once"), (MODULE, "unreadable")


def echo(files: Files, word: str) -> str:
    """The input, written; and a word."""
    files.write(files.input)
    return word


def sleep(files: Files, seconds: float, begun: str = "") -> str:
    """Stand still; a file says that it has begun."""
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
    """Die as a decoder with a bug in it does."""
    os.abort()


def crash_once(files: Files, mark: str) -> str:
    """The same the first time."""
    if not Path(mark).exists():
        Path(mark).touch()
        os.abort()
    return "well"


def unreadable(files: Files, number: int) -> None:
    """What a decoder raises: of bytes, without a number (0), or of the system."""
    if number:
        raise OSError(number, "content of the object")
    raise OSError("content of the object")
