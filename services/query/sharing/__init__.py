"""Links for people outside: they are made, listed and revoked, looked at and opened (docs/sharing.md).

What belongs here: what is asked of the log and the index for that, and what people outside are told, as pages without
scripts. What does not: who is let in, which is decided by the fold (`gantry.common.access.shares`).
"""
