"""Parts of the report of a sweep."""
