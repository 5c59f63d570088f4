"""Long experiments behind `make acceptance`; each writes its results into docs/results/."""
