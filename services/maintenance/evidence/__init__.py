"""Evidence that what was sealed was not changed: who makes statements, and who examines them.

What belongs here: `witness` makes statements of sealed segments in the bucket, `examining` compares them with what lies
there. What does not: how a statement looks and is signed (`gantry.common.evidence`).
"""
