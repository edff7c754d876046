"""Objects in a foreign bucket or folder become ours without being copied.

Each is read whole once, checked, digested and published like any object that arrives (`gantry.services.ingest.commit`);
but only a reference to its place is stored (`gantry.common.runtime.in_place`). `job` records the progress.
"""
