"""Distillation methods, one file each; `kind` in `[distillation]` is the file's name."""
