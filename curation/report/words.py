"""Numbers and texts as people read them, and safe access to a report in which anything may be missing."""

import math
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

MISSING = "not known"
_VISIBLE = {"\n": " ", "\t": " ", "\r": " "}


def section(report: Mapping[str, Any] | None, *keys: str) -> dict[str, Any]:
    """The mapping under `keys`, or an empty one where any step is missing, None or not a mapping."""
    found: Any = report
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return dict(found) if isinstance(found, Mapping) else {}


def listing(found: Any) -> list[Any]:
    """`found` as a list, or an empty one when it is not a sequence (or is a string)."""
    return list(found) if isinstance(found, Sequence) and not isinstance(found, str | bytes) else []


def number(found: Any) -> float | None:
    """`found` as a finite float, or None for anything else (None, NaN, infinity, booleans, texts)."""
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return float(found) if math.isfinite(found) else None


def numbers(values: Any) -> dict[str, float]:
    """The finite numbers of a mapping by name."""
    return {str(k): n for k, v in section(values).items() if (n := number(v)) is not None}


def count(found: Any) -> str:
    """1234567 -> `1,234,567`."""
    n = number(found)
    return MISSING if n is None else f"{round(n):,}"


def share(found: Any) -> str:
    """.1234 -> `12.3%`; a share above zero never reads as zero, and one below all never as 100%."""
    n = number(found)
    if n is None:
        return MISSING
    percent = 100 * n
    if percent != 0 and abs(percent) < 0.1:
        return "<0.1%" if percent > 0 else ">-0.1%"
    if 99.9 < percent < 100:
        return ">99.9%"
    return f"{percent:.1f}".removesuffix(".0") + "%"


def value(found: Any) -> str:
    """Three significant digits, without an exponent where that reads well: 3.14159 -> `3.14`."""
    n = number(found)
    if n is None:
        return MISSING
    if n == 0:
        return "0"
    if abs(n) >= 1000:
        return f"{n:,.0f}"
    if abs(n) < 1e-4:
        return f"{n:.1e}"
    text = f"{n:.{max(0, 2 - math.floor(math.log10(abs(n))))}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def size(found: Any) -> str:
    """Bytes in powers of 1000: 1234567 -> `1.23 MB`."""
    n = number(found)
    if n is None:
        return MISSING
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(n) < 1000 or unit == "TB":
            return f"{value(n)} {unit}"
        n /= 1000
    return MISSING


def ratio(part: Any, whole: Any) -> float | None:
    """part / whole, or None when either is missing or whole is 0."""
    a, b = number(part), number(whole)
    return None if a is None or not b else a / b


def plural(found: Any, noun: str) -> str:
    """`1 document`, `2,000 documents`."""
    return f"{count(found)} {noun}{'' if number(found) == 1 else 's'}"


def clean(found: Any, longest: int = 400) -> str:
    """Text from data, fit to show: one line, at most `longest` characters, and every control, bidirectional
    or invisible format character written as its code point, so that nothing can reorder or hide the page.
    (Joiners that scripts need stay.) Escaping for HTML is the template's work.
    """
    out = []
    text = "" if found is None else str(found)
    for character in text[:longest]:
        if character in _VISIBLE:
            out.append(_VISIBLE[character])
        elif character in "\u200c\u200d":
            out.append(character)
        elif unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") or character == "\ufffe":
            out.append(f"[U+{ord(character):04X}]")
        else:
            out.append(character)
    return "".join(out) + ("\u2026" if len(text) > longest else "")


def short(found: Any, longest: int = 34) -> str:
    """`clean`, cut in the middle: the beginning and the end of a path tell it apart."""
    text = clean(found, 1000)
    if len(text) <= longest:
        return text
    head = longest // 3
    return f"{text[:head]}\u2026{text[-(longest - head - 1) :]}"


def labels(names: Sequence[str], longest: int = 34) -> list[str]:
    """Short labels for paths: extensions are left out and the middle is cut, as far as all stay different."""
    bare = [name.rsplit(".", 1)[0] if "." in name.rsplit("/", 1)[-1] else name for name in names]
    for chosen in (bare, list(names)):
        for length in (longest, 2 * longest):
            found = [short(name, length) for name in chosen]
            if len(set(found)) == len(found):
                return found
    return [short(name, 2 * longest) for name in names]


def phrase(name: Any) -> str:
    """`near_duplicate` -> `near duplicate`."""
    return clean(name, 80).replace("_", " ")
