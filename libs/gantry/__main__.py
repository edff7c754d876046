"""`python -m gantry` is the command `gantry`."""

from gantry.services.__main__ import main

main(prog_name="gantry")
