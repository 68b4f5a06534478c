"""Functions on arrays, in Numba; cuda/ holds CUDA twins of some. No Arrow tables, no I/O, no classes."""
