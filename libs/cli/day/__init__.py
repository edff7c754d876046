"""`gantry bench`: plays a hospital's day, or a part of it, against any archive, and measures the archive."""
