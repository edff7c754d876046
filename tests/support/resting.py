"""Fixes pynetdicom's requestor: two requests in quick succession on an association, and one beside a report.

Its reactor thread handles messages that arrive between requests. It reports that it is paused before it is, and still
reports so for a moment after it has resumed. If a request is sent in that moment, the reactor takes the response
("Received unexpected N-GET service message"), and the test waits until its timeout.

A third thread performs N-EVENT-REPORTs, and at its end reports that the reactor is not paused. If the reactor was
paused already, it never reports so again, and a release waits for ever: a whole test run was once lost to this.
"""

from __future__ import annotations

import threading
from typing import Any

from pynetdicom.association import Association

_SAY_AGAIN_SECONDS = 0.05


class _Checkpoint(threading.Event):
    """A checkpoint whose passing and reporting is one step, so that nobody can close it in between."""

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
    """Fix all later associations of this process."""
    made = Association.__init__

    def init(self: Association, *arguments: Any, **named: Any) -> None:
        made(self, *arguments, **named)
        self._reactor_checkpoint = _Checkpoint(self)
        self._reactor_checkpoint.set()

    Association.__init__ = init
