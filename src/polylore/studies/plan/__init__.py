"""What a study will cost, before anything starts: work, memory, disk and time."""
