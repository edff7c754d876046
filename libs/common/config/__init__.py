"""Settings: frozen, read once, unknown keys refused; and the AE policy file. No business rules."""
