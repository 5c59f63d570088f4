"""How fast candidates are scored, beside the ways one would pick instead.

`config` says what can be measured, `score.bench_score` measures it. Nothing is imported here, so
that the command line can print the settings without loading a model library.
"""
