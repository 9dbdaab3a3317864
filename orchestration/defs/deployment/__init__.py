"""Deployment: rollouts of the job, back and forth, and its stop."""
