"""A quota of bytes for an archive: what it may hold, and what ingest refuses beyond that (docs/partitions.md).

What is used is a count of the index (`gantry usage`) for what came before a point in time, and a listing of the object
store for what came since: both survive whatever processes do. `sums` adds them up and is pure, `counts` keeps the count
in the bucket, `watching` looks now and then and decides.
"""
