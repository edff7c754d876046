"""`make fuzz`: every target for a while, one after the other or two at once; what is found is kept and said.

    python -m tests.fuzz [--seconds 60] [--at-once 2] [--keep] [TARGET…]

With `--keep` what reached further is put among the seeds, the least that reaches as far; with `--real` the real things
are (tests/fuzz/real.py). Exit code 1 where something was found.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.reaching import least
from tests.fuzz.seeds import HERE, found_by, keep_seeds, seeds_of
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
_GRACE_SECONDS = 60
"""For the start, and for the input that is under way when the time is over."""
_KINDS = ("crash-", "timeout-", "oom-", "slow-unit-")


@dataclass(frozen=True)
class Fuzzed:
    """What became of a target: runs, edges of the code that were reached, and what was found."""

    target: str
    runs: int
    coverage: int
    corpus: tuple[bytes, ...]
    found: tuple[bytes, ...]
    said: str


def fuzz(target: str, seconds: int, folder: Path, seed: int) -> Fuzzed:
    """Drive one target for some seconds."""
    corpus = folder / "corpus"
    corpus.mkdir(parents=True)
    inputs = [*seeds_of(target), *(path.read_bytes() for path in found_by(target))]
    for number, content in enumerate(inputs):
        (corpus / f"seed{number}").write_bytes(content)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'libs'}"}
    command = [sys.executable, "-m", "tests.fuzz.child", target, str(seconds), str(folder), str(seed)]
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, timeout=seconds + _GRACE_SECONDS, check=False
        )
        output, code = done.stderr.decode("utf-8", "replace") + done.stdout.decode("utf-8", "replace"), done.returncode
    except subprocess.TimeoutExpired as error:
        output, code = f"{(error.stderr or b'').decode('utf-8', 'replace')}\nit did not end", 1
    failures = [path.read_bytes() for path in folder.iterdir() if path.name.startswith(_KINDS[:3])]
    if code and not failures:
        failures = [b""]  # it could not even begin
    corpus_inputs = tuple(path.read_bytes() for path in corpus.iterdir())
    return Fuzzed(
        target, _last(r"#(\d+)", output), _last(r"cov: (\d+)", output), corpus_inputs, tuple(failures), output
    )


def _last(pattern: str, text: str) -> int:
    numbers = re.findall(pattern, text)
    return int(numbers[-1]) if numbers else 0


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--at-once", type=int, default=2, help="targets that are driven at once")
    parser.add_argument("--seed", type=int, default=None, help="of the mutations; another one each time")
    parser.add_argument("--keep", action="store_true", help="put what reached further among the seeds")
    parser.add_argument("--real", action="store_true", help="put the real things among the seeds, and do nothing else")
    options = parser.parse_args()
    if unknown := set(options.targets) - set(TARGETS):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    if options.real:
        from tests.fuzz.real import real_inputs

        for target, inputs in real_inputs().items():
            keep_seeds(target, [*seeds_of(target), *inputs])
        return 0
    seed = options.seed if options.seed is not None else random.randrange(1, 1 << 31)
    print(f"seed {seed}", flush=True)
    failed = False
    with tempfile.TemporaryDirectory() as place, ThreadPoolExecutor(options.at_once) as pool:
        names = options.targets or list(TARGETS)
        runs = pool.map(lambda name: fuzz(name, options.seconds, Path(place) / name, seed), names)
        for run in runs:
            failed |= _tell(run)
            if options.keep and not run.found:
                keep_seeds(run.target, least(TARGETS[run.target], run.corpus))
    return int(failed)


def _tell(run: Fuzzed) -> bool:
    """Say how it went, and keep what was found; whether something was."""
    print(f"{run.target:12} {run.runs:9} runs  {run.coverage:5} edges  {len(run.corpus):4} inputs", flush=True)
    for content in run.found:
        place = HERE / "found" / run.target
        place.mkdir(parents=True, exist_ok=True)
        number = len(list(place.iterdir())) + 1
        (place / f"{number}").write_bytes(content)
        print(f"FOUND: {place.relative_to(ROOT)}/{number}\n{_trace(run.said)}", flush=True)
    return bool(run.found)


def _trace(output: str) -> str:
    """What a person wants to see of a finding."""
    begin = output.find("=== Uncaught Python exception")
    lines = (output[begin:] if begin >= 0 else output).splitlines()
    return "\n".join(lines[:40] if begin >= 0 else lines[-40:])


if __name__ == "__main__":
    sys.exit(main())
