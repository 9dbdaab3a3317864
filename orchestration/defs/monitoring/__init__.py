"""Monitoring: one sensor over one snapshot, and the same verdicts as checks on demand."""
