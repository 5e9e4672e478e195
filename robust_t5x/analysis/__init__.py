"""What results say: metrics over phrasings, their uncertainty, and models compared.

Public, formulas over arrays of examples by phrasings: `metrics`, `agreement`, `significance`, `statistics` (the two-way
bootstrap) and `weighted` (all resamples at once). Public, over results: `comparison.compare`, `effects` (one model against
another), `prompteval` (all phrasings from some cells) and `representation` (where phrasings lie inside a model).
"""
