"""Timings of models that are asked in turns, and of a server under load."""
