"""The domains: each with the files it needs of `assets.py`, `checks.py`, `sensors.py`, `schedules.py`."""
