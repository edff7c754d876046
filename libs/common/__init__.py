"""The rooms that every service stands on.

Imports go down only (`make check` enforces it): runtime, adapters and net stand on dimse, which stands on ul, which
stands on ports; dicom, events, config and telemetry stand on errors, clock and ids, which stand on nothing.
"""
