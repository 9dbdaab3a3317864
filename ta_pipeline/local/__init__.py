"""The local stack: the platform's components as supervised processes on the loopback interface."""
