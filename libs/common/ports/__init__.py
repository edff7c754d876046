"""The three ports: object store, event log, search index.

What belongs here: the promises of a backend, in docstrings (the contract suite in tests/contract quotes them and runs
against every backend), and the values that pass through. What does not: drivers, and anything vendor-specific.
A backend raises `DependencyUnavailable` when it is away, full or too slow, and never an error class of its vendor.
"""
