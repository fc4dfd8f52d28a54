"""Interactions: read, split, cut into windows and stored."""
