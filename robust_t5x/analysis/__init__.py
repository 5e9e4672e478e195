"""What results say: metrics over phrasings, their uncertainty, and models compared.

Public, formulas over arrays of examples by phrasings: `metrics`, `agreement`, `significance`, `crossed` (intervals and
tests of means), `components` (how far examples, phrasings and seeds differ), `extremes` (what the best and worst phrasing may be)
and `statistics` (intervals from resamples and draws).
Public, over results: `comparison.compare`, `effects` (one model against another), `uncertainty` (what a mean's is made of),
`design` (how large a table must be), `decisions` (robust enough), `choice` (which phrasing), `wording` (features of phrasings),
`perturbations` (what they change), `room` (a spread against noise and its bounds), `sequential` (where to stop), `remedies` (what can
be had without training), `reranking` (kept as an evaluation), `prompteval` (all phrasings from some cells) and `representation`
(where phrasings lie inside a model).
"""
