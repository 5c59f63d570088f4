"""Labels and rates held against the truth of a designed corpus and of counterfactual training.

Specification of `trace`, section 4.8. Nothing here makes a label: what is judged comes in as a
frame of cells, and the truth as the design and the exposures of the run.
"""
