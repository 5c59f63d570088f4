"""Pages of the report, one file each."""
