"""STOW-RS (PS3.18 10.5): parts become objects, objects go through `ingest.commit`, and a response says what became of
each."""
