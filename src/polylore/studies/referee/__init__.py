"""The referee: labels and rates of a trace held against what really caused the answers.

Where polylore composed the corpus, the design says which facts were never told in a language; where
it trained the model too, the same training without some documents shows what those documents did.
Specification of `trace`, section 4.8.
"""
