"""Models: networks, and the one class that trainers, evaluators and notebooks call.

`protocol` says what a family of networks must give; `t5` is a family, built of `layers`. `robust.RobustModel` puts a network,
an adapter and an objective behind the methods that T5X calls as well; `decoding` computes scores, outputs and states, `runner`
does so for many inputs of different lengths, in batches that `batching` plans, and reads once what they share (`sharing`). `trainable` says what trains, `placement` where parameters lie, `families` what
was published, `features` how SeqIO's examples become batches.
"""
