"""pynetdicom's requestor, mended: two requests right after one another on an association, and one beside a report.

Its other thread takes what arrives while nobody asks. It says that it rests before it does, and still says so for a
moment after it went on: a request in that moment goes out, and its response is taken by that thread ("Received
unexpected N-GET service message") while the test waits until its time is over.

An N-EVENT-REPORT is served by a third thread, which says at its end that nobody rests. Where the other thread rested
already, it never says so again, and a release waits for ever: a whole run of the tests was once lost to it.
"""

from __future__ import annotations

import threading
from typing import Any

from pynetdicom.association import Association

_SAY_AGAIN_SECONDS = 0.05


class _Checkpoint(threading.Event):
    """Whoever passes it says so in the same step, and nobody closes it in between."""

    def __init__(self, association: Association) -> None:
        super().__init__()
        self._association = association
        self._turn = threading.Lock()

    def clear(self) -> None:
        with self._turn:
            super().clear()

    def wait(self, timeout: float | None = None) -> bool:
        while True:
            while not super().wait(_SAY_AGAIN_SECONDS if timeout is None else timeout):
                if timeout is not None:
                    return False
                self._association._is_paused = True
            with self._turn:
                if self.is_set():
                    self._association._is_paused = False
                    return True


def mend() -> None:
    """For all associations that this process makes from now on."""
    made = Association.__init__

    def init(self: Association, *arguments: Any, **named: Any) -> None:
        made(self, *arguments, **named)
        self._reactor_checkpoint = _Checkpoint(self)
        self._reactor_checkpoint.set()

    Association.__init__ = init
