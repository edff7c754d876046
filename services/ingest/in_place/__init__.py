"""Objects of somebody else's bucket or folder become ours without being copied.

Each is read whole once, checked, digested and published as any other that arrives (`gantry.services.ingest.commit`);
but what is stored is a reference to where it lies (`gantry.common.runtime.in_place`). `job` notes how far it is.
"""
