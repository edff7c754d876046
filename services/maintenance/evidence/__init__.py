"""Evidence that sealed segments were not changed: makes statements, and examines them.

What belongs here: `witness` makes statements of sealed segments in the bucket, `examining` compares them with what is
stored there. What does not: the format and signature of a statement (`gantry.common.evidence`).
"""
