"""Tables of a mix for the page: who keeps how much weight, how close features came, and which kinds were balanced."""

from collections.abc import Mapping
from typing import Any

from curation.report import words as w

NAMES = 40
FEATURES = 10


def tables(mixing: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Rows for the page, each list empty where the report has nothing to say.

    retention: (title, [(name, weight kept)]) for languages and groups where there are two or more, the least first;
    features: the worst with their tolerance; cells: kinds of text by name with their shares, the largest first.
    """
    kept = []
    for title, key in (("Language", "retention_by_language"), ("Group", "retention_by_group")):
        found = sorted(w.numbers(mixing.get(key)).items(), key=lambda item: (item[1], item[0]))
        if len(found) > 1:
            kept.append((title, found[:NAMES]))
    features = [w.section(row) for row in w.listing(mixing.get("worst_features"))]
    cells = [w.section(row) for row in w.listing(mixing.get("cells"))]
    cells = [row for row in cells if (w.number(row.get("crawl")) or 0) > 0 or (w.number(row.get("reference")) or 0) > 0]
    return {
        "retention": kept,
        "features": [row for row in features if w.number(row.get("tolerance")) is not None][:FEATURES],
        "cells": sorted(cells, key=lambda row: (-(w.number(row.get("crawl")) or 0.0), str(row.get("name")))),
    }
