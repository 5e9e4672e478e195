"""Checkpoints: what a model is loaded from, and what a run leaves.

`loading.load` gives a model that is ready to run. `backbones.open_backbone` reads a frozen model in whatever layout it was
published (`huggingface`, `t5x_format`; `tensorfile` reads safetensors one tensor at a time), `vocabularies` the vocabulary that
belongs to it, `adapter_files` adapters, our own and others'. `runs` keeps the state of a training run.
"""
