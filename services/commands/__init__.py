"""The verbs of `gantry` that run an archive or maintain its stores."""
