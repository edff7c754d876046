"""pynetdicom's requestor, mended: two requests right after one another on an association.

Its other thread takes what arrives while nobody asks. It says that it rests before it does, and still says so for a
moment after it went on: a request in that moment goes out, and its response is taken by that thread ("Received
unexpected N-GET service message") while the test waits until its time is over.
"""

from __future__ import annotations

import threading
from typing import Any

from pynetdicom.association import Association


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
            if not super().wait(timeout):
                return False
            with self._turn:
                if self.is_set():
                    self._association._is_paused = False
                    return True


def mend() -> None:
    """For all associations that this process makes from now on."""
    made = Association.__init__

    def init(self: Association, *given: Any, **named: Any) -> None:
        made(self, *given, **named)
        self._reactor_checkpoint = _Checkpoint(self)
        self._reactor_checkpoint.set()

    Association.__init__ = init
