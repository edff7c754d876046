"""Log fields, metric names and trace identifiers as types. No business rules."""
