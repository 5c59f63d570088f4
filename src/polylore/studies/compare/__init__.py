"""The study `compare`: several models on the same questions, in one report."""
