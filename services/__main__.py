"""The command `gantry`."""

from __future__ import annotations

import click

from libs.cli.ae import ae
from libs.cli.commit import commit
from libs.cli.query import find
from libs.cli.retrieve import get, move
from libs.cli.store import echo, store
from services.demo import demo
from services.serve import serve


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="gantry-dicom", prog_name="gantry")
def main() -> None:
    """Gantry, a DICOM archive. `serve` runs it; the other commands talk to it, or to any DICOM archive."""


for command in (serve, demo, echo, store, find, get, move, commit, ae):
    main.add_command(command)

if __name__ == "__main__":
    main(prog_name="gantry")
