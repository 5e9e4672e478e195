"""Models that another program serves, by the protocol that OpenAI's is the pattern of: vLLM, llama.cpp, an API.

Public: `serving.served`, which stands where `checkpoints.loading.load_with_identity` does. `client` sends requests and takes no
for an answer only when it is meant, `protocol` knows what they look like, `answers` keeps what came, `texts` is what a text is on its way there.
"""
