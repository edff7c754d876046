"""STOW-RS (PS3.18 10.5): parts become objects, objects go through `ingest.commit`, and the response has the outcome of
each."""
