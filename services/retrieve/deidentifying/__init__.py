"""De-identification of objects sent to a destination or through a link: in worker processes of its own (`objects`,
`work`), since it takes processor time and needs a key that decoders must not see.

What belongs here: objects in transit, on disk and not in memory. What does not: the action for each attribute
(`gantry.common.deidentify`), and which profiles there are (`gantry.common.runtime.deidentification_profiles`).
"""
