"""The parts of a patch report, one file each."""
