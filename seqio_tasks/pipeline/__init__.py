"""Examples under phrasings as SeqIO tasks and mixtures.

`phrasings` has the preprocessors: several phrasings of an example side by side to train on, or each by itself to evaluate. They
fill templates in with TensorFlow operations alone, for which `flattening` takes layouts apart. `registration` registers tasks
and mixtures and finds them again; what is known of one stands on it (`tasks`, of which `providers` makes SeqIO's, and
`evaluation.EvaluationTask` for those that are evaluated). `examples` is where a pipeline starts, `seqio_metrics`
where SeqIO's scores come from, and `span_corruption` the one task without instructions. TensorFlow and seqio are imported when
SeqIO is to know a task, or reads one, not before.
"""
