"""Workitems, that is Unified Procedure Steps (PS3.4 CC): over DIMSE, and as UPS-RS (PS3.18 11)."""
