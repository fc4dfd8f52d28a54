"""Many students from one set of labels: quality against size and latency."""
