"""What documents say: structured reports as text and as HTML. Pure."""
