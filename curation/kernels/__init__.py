"""Functions on arrays: Numba today, CUDA twins behind the same names. No Arrow tables, no I/O, no classes."""
