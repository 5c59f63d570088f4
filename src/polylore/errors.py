"""Errors that a user can mend.

Every one carries a single clear sentence: what is wrong, where, and how to mend it. The command
line prints that sentence alone, without a traceback; anything that is not a `PolyloreError` is a
defect of polylore and keeps its traceback.
"""


class PolyloreError(Exception):
    """Base of all errors whose message is meant for the user."""


class ConfigError(PolyloreError):
    """A configuration (YAML, flag or keyword) that cannot be meant as it stands."""


class DataError(PolyloreError):
    """Input data (facts, templates, documents, answers) that breaks its contract."""


class RunError(PolyloreError):
    """A run folder that is damaged, in use, or belongs to another configuration."""


class ModelError(PolyloreError):
    """A checkpoint, tokenizer or model that cannot be loaded or asked as requested."""


class SelfCheckError(ModelError):
    """A checkpoint that fails a check which its numbers depend on."""
