"""Models, one file each; `kind` in `[teacher]` and `[student]` is the file's name."""
