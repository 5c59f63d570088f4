"""How fast candidates are scored and concepts patched, beside the ways one would pick instead.

`config` says what can be measured, `score` and `patch` measure it. Nothing is imported here, so
that the command line can print the settings without loading a model library.
"""
