"""Invented facts that no model can have read: what conductivity is measured with."""
