"""De-identification of what leaves for a destination or by a link: in worker processes of its own (`objects`, `work`),
since it takes a processor's time and needs a key that decoders must not see.

What belongs here: objects as they pass, on disk and not in memory. What does not: what becomes of an attribute
(`gantry.common.deidentify`), and which profiles there are (`gantry.common.runtime.deidentification_profiles`).
"""
