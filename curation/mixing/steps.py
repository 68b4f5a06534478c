"""Work over all documents as a list of reductions, which a host takes one after another: in memory or on workers.

What the steps before have found travels in a context of plain values, small beside the documents. Because parts merge
exactly, a host may cut the documents into items as it likes and merge in any order.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from typing import Any, NamedTuple

Context = Mapping[str, Any]


class Step(NamedTuple):
    """One reduction: `part` of every item, merged, and what `finish` makes of the total."""

    name: str
    part: Callable[[Any, Context], Any]  # of an item; mergeable
    empty: Callable[[Context], Any]  # the part of no documents
    merge: Callable[[Any, Any], Any]
    finish: Callable[[Any, Context], Context]  # the entries that the total adds to the context


def advance(step: Step, merged: Any, context: Context) -> Context:
    """The context after a step whose parts have been merged."""
    total = step.merge(step.empty(context), merged)  # so that one part alone is brought to the form of a sum, too
    return {**context, **step.finish(total, context)}


def run(steps: Iterable[Step], items: Iterable[Any]) -> Context:
    """The context after all steps over items in memory."""
    items = list(items)
    context: Context = {}
    for step in steps:
        merged = reduce(step.merge, (step.part(item, context) for item in items), step.empty(context))
        context = {**context, **step.finish(merged, context)}
    return context
