"""What is true of the repository itself: names, layout, examples and pages that name tests.

These tests read its files. They run no code of the archive, so they are neither unit tests nor slower ones: `make
check` runs them beside the unit tests.
"""
