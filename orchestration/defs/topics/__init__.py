"""Topics: created when missing, verified against their declaration, never deleted."""
