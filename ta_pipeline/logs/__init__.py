"""Logs: one table of field names, how processes write them, and how `ta logs` reads them (docs/logs.md)."""
