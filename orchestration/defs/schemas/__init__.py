"""Schemas: checked first, then registered, before the job needs them."""
