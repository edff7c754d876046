"""Gantry's one import name. `common`, `cli` and `services` are links to the folders of the same name in the tree, so
that an installed wheel adds nothing else to a Python environment (docs/decisions/0021); `testing` is what other
people's tests import."""
