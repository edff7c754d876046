"""Links for people outside: made, listed and revoked, viewed and opened (docs/sharing.md).

What belongs here: requests to the log and the index for that, and the pages, without scripts, that people outside see.
What does not: who is admitted, which the fold decides (`gantry.common.access.shares`).
"""
