"""`gantry.testing` costs a project nothing that has it installed and does not use it."""

from __future__ import annotations

import subprocess
import sys

import gantry.testing

_HEAVY = "{'pydicom', 'numpy', 'asyncio', 'aiohttp', 'testcontainers', 'trustme'}"


def test_the_plugin_that_pytest_loads_everywhere_imports_nothing_heavy() -> None:
    program = f"import sys, gantry.testing.plugin; print(sorted({_HEAVY} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_every_public_name_is_there() -> None:
    assert {name for name in gantry.testing.__all__ if getattr(gantry.testing, name).__name__ != name} == set()
