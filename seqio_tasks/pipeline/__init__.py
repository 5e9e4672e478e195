"""Examples under phrasings as SeqIO tasks and mixtures.

`phrasings` has the preprocessors: several phrasings of an example side by side to train on, or each by itself to evaluate. They
fill templates in with TensorFlow operations alone, for which `flattening` takes layouts apart. `registration` registers tasks
and mixtures and finds them again; what is known of one stands on it (`providers`, and `evaluation.EvaluationTask` for those
that are evaluated), so that nothing is kept beside SeqIO's registries. `examples` is where a pipeline starts, `seqio_metrics`
where SeqIO's scores come from, and `span_corruption` the one task without instructions. TensorFlow and seqio are imported when
something is registered or read, not before.
"""
