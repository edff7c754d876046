"""`gantry canary`: sends a small synthetic image through the archive again and again, and measures each step."""
