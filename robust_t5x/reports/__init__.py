"""Reports: results as pages, tables, charts and words.

Public: `page.write` (the report of evaluations), `effects` (one model against another), `representation` (where phrasings
lie inside a model), `card` (an adapter's model card), `every_eval_ever` (results in that schema), `tables.Table` (a table as
HTML, Markdown, LaTeX and CSV) and `svg` (the one writer of drawings).
`inputs`, `summary`, `content`, `sections`, `scaling`, `words` and `charts` are the parts of a page, `plots` its pictures as
files, `templates/` its layout.
"""
