"""e^x and log x made of additions, multiplications and divisions in one order, so that every machine and device rounds
them alike; those of a maths library differ in the last bit. After FreeBSD's msun (e_exp.c, e_log.c), below one unit in
the last place. curation/kernels/cuda/moments.cu has the same operations.
"""

import math

import numpy as np
from numba import njit

_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10


@njit(inline="always", error_model="numpy")
def exp_below(x):
    """e^x for x <= 0; 0 below -700, where the result would leave the normal numbers."""
    if not x > -700.0:
        return 0.0
    k = np.rint(x * 1.44269504088896338700e00)
    high = x - k * _LN2_HIGH
    low = k * _LN2_LOW
    r = high - low
    t = r * r
    c = r - t * (
        1.66666666666666019037e-01
        + t * (
            -2.77777777770155933842e-03
            + t * (6.61375632143793436117e-05 + t * (-1.65339022054652515390e-06 + t * 4.13813679705723846039e-08))
        )
    )  # fmt: skip
    return math.ldexp(1.0 - ((low - r * c / (2.0 - c)) - high), np.int32(k))


@njit(inline="always", error_model="numpy")
def log_above(x):
    """Natural logarithm of a number above 0 that is neither infinite nor below the normal numbers."""
    m, k = math.frexp(x)
    m *= 2.0
    k -= 1
    if m > 1.41421356237309504880:
        m *= 0.5
        k += 1
    f = m - 1.0
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    even = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01))
    odd = z * (
        6.666666666666735130e-01
        + w * (2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01))
    )
    half = 0.5 * f * f
    return k * _LN2_HIGH - ((half - (s * (half + (odd + even)) + k * _LN2_LOW)) - f)
