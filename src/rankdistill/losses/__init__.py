"""Ranking losses, one file each; `kind` in `[ranking_loss]` is the file's name."""
