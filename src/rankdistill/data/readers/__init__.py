"""Readers, one file each: `[data] kind` is the name of the file."""
