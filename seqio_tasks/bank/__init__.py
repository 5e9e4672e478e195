"""The instruction bank: phrasings of instructions as validated data, not code.

`reading` has `Bank`, `read_banks` and `validate`, which reports all faults of bank files at once; `instruction` has
`Instruction`, one phrasing of one task, and `BankError`. How an item goes into a phrasing's text is a `layouts.Layout`; `schema`
is how files write it down, `templates` fills in named fields, `likeness` says how alike phrasings are, `checks` looks for
phrasings that stand twice or are both trained on and evaluated, `perturbations` changes how phrasings are written, and `drafts`
says what speaks against a model's paraphrase.
"""
