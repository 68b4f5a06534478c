"""What scripts/bench is made of: corpora of a chosen size, marginal costs, and tables."""
