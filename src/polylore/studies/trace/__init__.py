"""The study `trace`: when does a model come to know a fact in each language?

`config` says what can be asked, `study.trace` does it. Nothing is imported here, so that the
command line can print the settings without loading a model library.
"""
