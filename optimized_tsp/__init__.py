"""An optimization job service: post a problem, watch it live, find every past job in SQL."""

__version__ = "0.1.0"
