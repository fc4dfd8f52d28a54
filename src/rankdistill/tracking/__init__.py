"""Trackers: where trainings are logged, one file a kind."""
