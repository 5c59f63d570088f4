"""Training from scratch on a composed corpus.

`config` says how, `loop.train` does it. Nothing is imported here, so that the command line can
print the settings without loading torch.
"""
