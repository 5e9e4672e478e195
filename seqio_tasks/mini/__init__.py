"""What the bundled model is made from: text, vocabulary and tasks, all small enough to be made on two cores.

`corpus` writes the text that it is pre-trained on, `vocabulary` trains its vocabulary (both are commands), and `suite` generates
the examples of its thirteen tasks, which `datasets.mini` puts under phrasings.
"""
