"""Injection where torch trains: polylore's own loop (`loop`), and the Trainer (`trainer`)."""
