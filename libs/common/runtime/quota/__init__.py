"""A quota of bytes for an archive: what it may hold, and what ingest refuses beyond that (docs/partitions.md).

Usage is a count of the index (`gantry usage`) up to a point in time, plus a listing of the object store from there on:
both survive any crash. `sums` adds them up and is pure, `counts` stores the count in the bucket, `watching` updates
them now and then, and decides.
"""
