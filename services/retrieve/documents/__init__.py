"""Structured reports as text and as HTML. Pure."""
