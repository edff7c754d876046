"""What the codec is told of a field."""

OMITTED = {"omitted": True}
"""Of a field that was added, and is written only where it differs from its default: every other event is the same bytes
that earlier releases write."""
