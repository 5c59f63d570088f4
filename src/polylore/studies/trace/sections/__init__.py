"""The parts of a trace report, one file each."""
