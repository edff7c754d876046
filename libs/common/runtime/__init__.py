"""The machinery of a running service: the consumer loop, lifecycle, fail points. No drivers."""
