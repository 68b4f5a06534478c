"""The library of scripts/collapse_benchmark."""
