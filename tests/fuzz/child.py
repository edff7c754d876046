"""One target in a process of its own, driven by libFuzzer until its time is over or it has found something.

    python -m tests.fuzz.child TARGET SECONDS FOLDER SEED

FOLDER holds the corpus, which grows; a finding is left there as crash-…, timeout-… or oom-….
"""

from __future__ import annotations

import sys

import atheris

_LONGEST = 8192
"""Bytes of an input: enough for nesting and repetition, few enough for thousands of runs a second."""
_PATIENCE_SECONDS = 10
"""For one input: what takes longer is a finding."""
_MEGABYTES = 2048


def main(name: str, seconds: str, folder: str, seed: str) -> None:
    """Never returns: libFuzzer ends the process, with exit code 0 where nothing was found."""
    with atheris.instrument_imports(include=["gantry", "tests.fuzz.targets"], enable_loader_override=False):
        from tests.fuzz.targets import TARGETS, planted
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={_LONGEST}",
        f"-timeout={_PATIENCE_SECONDS}",
        f"-rss_limit_mb={_MEGABYTES}",
        f"-artifact_prefix={folder}/",
        f"-seed={seed}",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, f"{folder}/corpus"], {**TARGETS, "planted": planted}[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
