"""Continued training of any causal language model on a stream of token rows.

`config` says how, `streams` what is read, `start` where it begins, `readers` who looks on the way,
and `loop.continue_training` does it. Nothing is imported here, so that the command line can print
the settings without loading torch.
"""
