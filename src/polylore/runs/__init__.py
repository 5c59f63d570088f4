"""The run folder: manifest, units of work, resume, executors."""
