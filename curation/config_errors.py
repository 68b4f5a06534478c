"""What is wrong with a configuration, in words: the key, the value, and what would be right."""

import difflib
import re
import typing
from collections.abc import Iterable, Iterator
from typing import Any

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9, "bn": 10**9, "t": 10**12}
_UNITS |= {"kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_WITH_UNIT = re.compile(r"\s*([\d_]*\.?\d+)\s*(%|[a-z]{0,2})\s*", re.I)


def explain(error: Any, top: Any) -> str:
    """One error of pydantic about the model `top`, for somebody who knows only the keys."""
    location = [part for part in error["loc"] if not str(part).startswith("function-")]
    dotted = ".".join(str(part) for part in location)
    kind, given = error["type"], error["input"]
    if kind == "extra_forbidden":
        return f"unknown key {dotted!r}{_meant(location, top)}"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        keys = _keys_at(top, location)
        way_out = f": set one of them, as {dotted}.{keys[0]}" if keys else f": set {dotted}.NAME"
        return f"{dotted} holds keys, not a value{way_out} (got {given!r})"
    if kind == "value_error":
        return f"{dotted}: {error['msg'].removeprefix('Value error, ')}"
    way_out = _without_unit(dotted, given) if kind in ("int_parsing", "float_parsing") else ""
    return f"{dotted}: {error['msg']} (got {given!r}){way_out}"


def _meant(location: list[Any], top: Any) -> str:
    name = str(location[-1])
    close = nearest(name, _keys_at(top, location[:-1]))
    elsewhere = [key for key in _all_keys(top) if key.endswith(f".{name}")]
    if elsewhere and len(location) == 1:
        return f": did you mean {' or '.join(repr(key) for key in elsewhere[:3])}?"
    return close


def _without_unit(dotted: str, given: Any) -> str:
    """How to write a number that was given with a unit."""
    found = _WITH_UNIT.fullmatch(str(given))
    if found is None:
        return ""
    number, unit = float(found[1].replace("_", "")), found[2].lower()
    if unit == "%":
        return f"; a share is a number from 0 to 1: {number / 100:g}"
    if unit not in _UNITS:
        return ""
    if dotted.endswith("_mb"):
        return f"; a number of megabytes, without a unit: {number * _UNITS[unit] / 10**6:g}"
    return f"; a number without a unit: {int(number * _UNITS[unit])}"


def _keys_at(top: Any, location: list[Any]) -> list[str]:
    model: Any = top
    for part in location:
        if isinstance(part, int):
            model = typing.get_args(model)[0]
            continue
        field = getattr(model, "model_fields", {}).get(part)
        if field is None:
            return []
        model = field.annotation
    return list(getattr(model, "model_fields", {}))


def _all_keys(model: Any, before: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield before + name
        if hasattr(field.annotation, "model_fields"):
            yield from _all_keys(field.annotation, f"{before}{name}.")


def nearest(name: str, known: Iterable[str]) -> str:
    """`: did you mean 'x'?` for the nearest of the known names, else a list of them, for error messages."""
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f": did you mean {close[0]!r}?"
    return f"; there is {', '.join(names)}" if names else ""
