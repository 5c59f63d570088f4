"""Parts of the report of `align`."""
