"""A selection to a budget as steps over batches: a few exact passes that find the rate.

The context holds `selection`, where the search stands: some hundred numbers.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from curation.mixing import sampling
from curation.mixing.steps import Context, Step

PASSES = 5  # after which the rate is fixed to about six digits


class Candidates(NamedTuple):
    """What a selection reads of a batch."""

    weights: np.ndarray  # float64[docs], 0 for documents that are not kept
    u: np.ndarray  # float64[docs], see `sampling.uniforms`
    size: np.ndarray  # int64[docs], tokens, or ones for a budget of documents
    kept: int  # documents that are kept


@dataclass(frozen=True)
class Selecting:
    """A budget in tokens, in documents, or as a share of the kept documents, and the most copies of a document.

    Raises ValueError unless exactly one budget is given, and for one out of its range.
    """

    tokens: int | None = None
    documents: int | None = None
    rate: float | None = None
    max_repeats: int = 1

    def __post_init__(self) -> None:
        asked = [name for name in ("tokens", "documents", "rate") if getattr(self, name) is not None]
        if len(asked) != 1:
            given = f"not {' and '.join(asked)}" if asked else "none is given"
            raise ValueError(f"give one of tokens, documents and rate; {given}")
        for name in ("tokens", "documents", "max_repeats"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        if self.rate is not None and not 0 < self.rate <= 1:
            raise ValueError(f"rate must be above 0 and at most 1, not {self.rate}")

    def budget(self, kept: int) -> int:
        """Tokens or documents to select when `kept` documents are there to select from."""
        if self.rate is not None:
            return max(1, round(self.rate * kept))
        return self.tokens or self.documents or 1

    def steps(self) -> list[Step]:
        """The count of what is there, and the passes of the search."""
        passes = [Step(f"pass {n}", self._grid, _no_sums, _add, _narrow) for n in range(1, PASSES + 1)]
        return [Step("count", _kept, _none_kept, _add_counts, self._begin), *passes]

    def decide(self, found: Candidates, context: Context) -> tuple[np.ndarray, np.ndarray]:
        """(copies int64[docs], float64[docs] weights of which copies * weight has the given one for expectation)."""
        rate = context["selection"].low
        copies = sampling.copies(found.weights, found.u, rate, self.max_repeats)
        return copies, sampling.select_weights(found.weights, rate, self.max_repeats)

    def _begin(self, kept: int, context: Context) -> Context:
        return {"selection": sampling.begin(self.budget(kept))}

    def _grid(self, found: Candidates, context: Context) -> np.ndarray:
        return sampling.grid_sums(found.weights, found.u, found.size, context["selection"].grid, self.max_repeats)


def _kept(found: Candidates, context: Context) -> int:
    return found.kept


def _none_kept(context: Context) -> int:
    return 0


def _add_counts(a: int, b: int) -> int:
    return a + b


def _no_sums(context: Context) -> np.ndarray:
    return np.zeros(len(context["selection"].grid), np.int64)


def _add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a + b


def _narrow(sums: np.ndarray, context: Context) -> Context:
    found = context["selection"]
    return {"selection": sampling.narrow(found, sums) if found.grid else found}
