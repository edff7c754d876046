"""Documents that are generated from code (`make docs`)."""
