"""The verbs of `gantry` that run an archive or look after its stores."""
