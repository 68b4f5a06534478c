"""Real mixtures of human and LLM text: what rules of curation make of them, on features that none of them balances."""
