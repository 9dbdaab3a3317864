"""Savepoints: on a schedule, verified, drilled, and deleted when nothing needs them any more."""
