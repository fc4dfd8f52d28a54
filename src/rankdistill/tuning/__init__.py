"""Settings and sizes searched on validation data: `tune` and `compress`."""
