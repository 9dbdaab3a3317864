"""Savepoints: taken on a schedule, catalogued, verified, drilled, and deleted when nothing needs them any more."""
