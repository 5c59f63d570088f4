"""Putting a plan before checkpoints: the only part of the study `patch` that needs a model."""
