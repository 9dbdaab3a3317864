"""Replay validation: a market day through the job, alone, compared value by value; red blocks the next rollout."""
