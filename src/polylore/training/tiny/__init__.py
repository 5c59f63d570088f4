"""Many tiny models trained from scratch, one by one or stacked into one computation.

`config` says how, `loop.train` does it. Nothing is imported here, so that the command line can
print the settings without loading torch.
"""
