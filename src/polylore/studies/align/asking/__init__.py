"""Putting parallel sets before checkpoints: the part of `align` that needs a model."""
