"""How fast candidates are scored, concepts patched and tiny models trained, beside other ways.

`config` says what can be measured; `score`, `patch` and `train` measure it. Nothing is imported
here, so that the command line can print the settings without loading a model library.
"""
