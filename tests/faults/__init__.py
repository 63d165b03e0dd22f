"""Faults injected into real servers and processes, and an oracle that says whether all held."""
