"""Putting parallel sets before checkpoints: the only part of `align evaluate` that needs a model."""
