"""Tasks, mixtures and the instruction bank: everything between data and the model's inputs.

`bank` holds the phrasings of instructions, `phrasings` fills them in inside a TensorFlow input
pipeline, `registration` makes SeqIO tasks and mixtures of them by explicit calls, and `lmentry`
reads the LMentry benchmark. Importing the package imports none of them, and nothing heavy.
"""
