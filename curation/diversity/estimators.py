"""Estimators of entropy, richness and coverage from counts; pure functions, logarithms to base 2.

Counts come as count-of-counts: `values` float64[m], the distinct positive counts, and `types` float64[m], how
many types have each. Samples of types pass `types` divided by their rate, so it need not be whole.
"""

import numpy as np
from scipy.special import digamma, gammaln

CHAO_SHEN_BELOW = 100_000


def count_of_counts(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(values, types) of an array of counts; zeros are no types."""
    values, types = np.unique(counts[counts > 0], return_counts=True)
    return values.astype(np.float64), types.astype(np.float64)


def chao_shen(values: np.ndarray, types: np.ndarray) -> float:
    """Entropy in bits by coverage-adjusted Horvitz-Thompson (Chao and Shen 2003); 0 without counts."""
    n = float(values @ types)
    if n <= 0:
        return 0.0
    once = float(types[values == 1].sum())
    once = min(once, n - 1)  # all types seen once: coverage stays positive, as in the authors' own program
    p = (1 - once / n) * values / n
    if n == 1:
        return 0.0
    with np.errstate(divide="ignore"):
        seen = -np.expm1(n * np.log1p(-p))
    return max(float(-(types * p * np.log2(p) / seen).sum()), 0.0)


def grassberger(values: np.ndarray, types: np.ndarray) -> float:
    """Entropy in bits by Grassberger (2003), the bias-reduced plug-in; 0 without counts."""
    n = float(values @ types)
    if n <= 0:
        return 0.0
    sign = np.where(values % 2 == 0, 1.0, -1.0)
    g = digamma(values) + 0.5 * sign * (digamma((values + 1) / 2) - digamma(values / 2))
    return max(float((np.log(n) - (types * values * g).sum() / n) / np.log(2)), 0.0)


def entropy(values: np.ndarray, types: np.ndarray) -> float:
    """Chao-Shen below 100,000 observations, Grassberger from there on."""
    small = float(values @ types) < CHAO_SHEN_BELOW
    return chao_shen(values, types) if small else grassberger(values, types)


def entropy_error(values: np.ndarray, types: np.ndarray) -> float:
    """Standard error in bits under multinomial sampling (delta method): a floor, since text clusters."""
    n = float(values @ types)
    p = values / n
    mean = float((types * p * np.log2(p)).sum())
    square = float((types * p * np.log2(p) ** 2).sum())
    return float(np.sqrt(max(square - mean * mean, 0.0) / n))


def hill_2(values: np.ndarray, types: np.ndarray) -> float | None:
    """Effective number of types of order 2, n(n-1) / sum c(c-1), unbiased (Simpson 1949, Hill 1973).

    None when no type occurs twice.
    """
    n = float(values @ types)
    pairs = float((types * values * (values - 1)).sum())
    return n * (n - 1) / pairs if pairs > 0 else None


def missing_mass(once: float, twice: float, n: float) -> float:
    """Probability that types not yet seen carry: Good-Turing as refined by Chao and Jost (2012)."""
    if once <= 0 or n <= 1:
        return 0.0
    if twice > 0:
        return once / n * (n - 1) * once / ((n - 1) * once + 2 * twice)
    return once / n * (n - 1) * (once - 1) / ((n - 1) * (once - 1) + 2)


def _log_choose(n: np.ndarray, k: float) -> np.ndarray:
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(np.maximum(n - k, 0) + 1)


def rarefied_seen(values: np.ndarray, n: float, budget: float) -> np.ndarray:
    """Probability that a type with each count is among `budget` of n observations drawn without replacement.

    1 - C(n - c, T) / C(n, T) (Hurlbert 1971). Raises ValueError for a budget above n.
    """
    if budget > n:
        raise ValueError(f"cannot rarefy {n:.0f} observations to {budget:.0f}")
    rest = np.asarray(n - values, np.float64)
    absent = np.exp(_log_choose(rest, budget) - _log_choose(np.asarray(float(n)), budget))
    return np.where(rest < budget, 1.0, -np.expm1(np.log(np.maximum(absent, 1e-300))))


def rarefied_once(values: np.ndarray, n: float, budget: float) -> np.ndarray:
    """Probability that a type with each count is seen exactly once among `budget` of n observations."""
    if budget > n:
        raise ValueError(f"cannot rarefy {n:.0f} observations to {budget:.0f}")
    rest = np.asarray(n - values, np.float64)
    log = np.log(values) + _log_choose(rest, budget - 1) - _log_choose(np.asarray(float(n)), budget)
    return np.where(rest < budget - 1, 0.0, np.exp(log))


def repeated_elsewhere(documents: np.ndarray, total: float, block: float) -> np.ndarray:
    """Probability that an n-gram of one document is in another of `block` - 1 documents drawn from the rest.

    documents: in how many of `total` documents each n-gram is. 1 - C(D - f, B - 1) / C(D - 1, B - 1).
    """
    rest = np.asarray(total - documents, np.float64)
    absent = np.exp(_log_choose(rest, block - 1) - _log_choose(np.asarray(float(total - 1)), block - 1))
    return np.where(rest < block - 1, 1.0, 1.0 - absent)
