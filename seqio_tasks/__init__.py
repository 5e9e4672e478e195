"""Tasks, mixtures and the instruction bank: everything between data and the model's inputs.

From left to right, each room using those before it:
- `answers`: how answers are normalised, and what counts as right; `errors`: what a user can mend.
- `bank`: phrasings of instructions as validated data; `banks/` holds those that come with the package.
- `mini`: examples, text and vocabulary of the bundled model; `data/` holds its words.
- `datasets`: benchmarks as data, a function each.
- `pipeline`: examples under phrasings as SeqIO tasks and mixtures, inside TensorFlow's input pipeline.
- `suites`: which tasks and mixtures a dataset becomes; `suites.register` makes them.
- `importers`: instruction sets that others published, as bank files.

Importing the package imports none of them, and no room imports TensorFlow or seqio before it needs them.
"""
