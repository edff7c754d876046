"""`gantry bench`: a hospital's day, or a part of it, played against any archive, and how the archive took it."""
