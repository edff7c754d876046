"""Codestreams from encoders that are not available when tests run."""

from __future__ import annotations

import base64

HTJ2K = base64.b64decode(
    b"/0//UQApQAAAAAAQAAAAEAAAAAAAAAAAAAAAEAAAABAAAAAAAAAAAAABDwEB/1AACAACAAAACv9SAAwAAgABAAIEBEAB/1wACiCI"
    b"kJCQiIiI/2QAFwABT3BlbkpQSCBWZXIgMC4zMS4wLv+QAAoAAAAAANkAAf+TwAAunP9//2mv/a/Rr/3Xcxu/0vy3L0+/0u9Fr+Rj"
    b"z/H3o/MA9ZdCADG4AMAAFbAABbMAAFUAZO7AG8TI86AI9CFWAP7tX/9+gA8v62V1gMtyg8v6AUDaQgDPWAB//OuD36DMolUAwAAt"
    b"aAAF3EAAKwAIgkS1h0RI4N9/JJD458ZLKIRwgnkA/3//f/9//3//f++//3V/T/J/T/J/T/K/J/m/J/nfk/zHk/yvJ/npzAM+ZjAc"
    b"24AYwEv2YwHssgH+73//f/mgYTjCNwD/2Q=="
)
"""16 x 16 samples of 16 bits, each 37 times its place modulo 4096; reversible, RPCL. By OpenJPH 0.31."""
