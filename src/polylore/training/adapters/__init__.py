"""Few weights instead of all: low-rank adapters on layers that are found by architecture."""
