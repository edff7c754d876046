"""The part of requirements.lock that the archive needs at run time, with its hashes: `runtime.py [MORE…]` prints it.

The lock says of each package why it is there (`# via …`), so what the tests alone need can be left out. MORE names
packages to print besides, such as what the wheel is built with.
"""

import re
import sys
import tomllib
from pathlib import Path

root = Path(__file__).resolve().parents[2]


def name_of(requirement: str) -> str:
    """The normalised name of a package in a requirement."""
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match is not None, requirement
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def main() -> None:
    """Print it."""
    sections: dict[str, str] = {}
    for section in re.split(r"\n(?=[A-Za-z0-9])", (root / "requirements.lock").read_text()):
        if "==" in section.split("\n", 1)[0]:
            sections[name_of(section)] = section
    wanted = {name_of(line) for line in tomllib.loads((root / "pyproject.toml").read_text())["project"]["dependencies"]}
    while more := {name for name, section in sections.items() if wanted & _dependents(section)} - wanted:
        wanted |= more
    print("\n".join(sections[name] for name in sorted(wanted | set(sys.argv[1:]))))


def _dependents(section: str) -> set[str]:
    return {name_of(line) for line in re.findall(r"#\s+(?:via\s+)?([A-Za-z0-9._-]+)", section)}


main()
