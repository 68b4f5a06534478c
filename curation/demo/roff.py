"""Plain text of manual pages: roff requests and escapes are dropped, which is crude but leaves readable
prose."""

import re

#: escapes that stand for a character
_CHARACTERS = {
    "(em": " - ", "(en": "-", "(aq": "'", "(dq": '"', "(lq": '"', "(rq": '"', "(oq": "'", "(cq": "'",
    "(bu": "*", "(co": "(c)", "(hy": "-", "(ti": "~", "(ha": "^", "(ga": "`", "(rs": "\\",
}  # fmt: skip
_ESCAPE = re.compile(
    r"\\(?:"
    r"(?P<character>\([a-z]{2})"
    r"|f(?:\[[^\]]*\]|\([A-Z]{2}|.)"  # font
    r"|\*(?:\[[^\]]*\]|\(..|.)"  # string
    r"|s[-+]?\d"  # size
    r"|[mFRnk](?:\[[^\]]*\]|\(..)"  # colour, family, registers
    r"|\[(?P<named>[^\]]*)\]"
    r"|(?P<backslash>e|\\)"
    r"|(?P<space>[ ~0])"
    r"|[&:/,|^%c!]"
    r"|(?P<literal>.)"
    r")"
)
_NAMED = {
    "aq": "'",
    "dq": '"',
    "lq": '"',
    "rq": '"',
    "oq": "'",
    "cq": "'",
    "em": " - ",
    "en": "-",
    "rs": "\\",
}
_ARGUMENT = re.compile(r'"([^"]*)"|(\S+)')
_HEADINGS = frozenset(("SH", "SS", "Sh", "Ss"))
_BREAKS = frozenset(
    ("PP", "P", "LP", "TP", "IP", "HP", "TQ", "sp", "Pp", "It", "Bl", "El", "nf", "fi", "EX", "EE", "br")
)
#: requests of which the arguments are text in one font, with and without spaces between them
_TEXT = frozenset(("B", "I", "SM", "SB", "R"))
_ALTERNATING = frozenset(("BR", "RB", "BI", "IB", "IR", "RI"))
#: requests of the mdoc language whose arguments are text
_MDOC = frozenset(
    (
        "Nm",
        "Nd",
        "Ar",
        "Op",
        "Fl",
        "Xr",
        "Pa",
        "Em",
        "Sy",
        "Li",
        "Ic",
        "Cm",
        "Ql",
        "Dq",
        "Sq",
        "Pq",
        "Ev",
        "Dv",
        "Va",
    )
)
#: calls inside the arguments of mdoc requests
_MDOC_CALLS = _MDOC | {"Ns", "No", "Xo", "Xc", "Ta", "Bq", "Ap"}


def plain(source: str) -> str:
    """The running text of a manual page in roff `source` (man or mdoc): headings on their own lines,
    paragraphs filled.

    Tables, macro definitions and conditionals are left out. A page that only includes another (`.so`) gives
    "".
    """
    paragraphs: list[str] = []
    words: list[str] = []
    ends = ""  # the request that ends the block being skipped

    def close() -> None:
        if words:
            paragraphs.append(" ".join(words))
            words.clear()

    for line in source.splitlines():
        if ends:
            if line.startswith(ends):
                ends = ""
            continue
        if line[:1] not in (".", "'"):
            if line.strip():
                words.append(_unescape(line).strip())
            else:
                close()
            continue
        request, _, rest = line[1:].strip().partition(" ")
        if request == "so":
            return ""
        if request in ("de", "de1", "ig", "am"):
            ends = ".."
        elif request == "TS":
            ends = ".TE"
        elif request in _HEADINGS:
            close()
            paragraphs.append(" ".join(_arguments(rest)))
        elif request in _BREAKS:
            close()
            if request == "IP":
                words += _arguments(rest)[:1]
        elif request in _TEXT:
            words += _arguments(rest)
        elif request in _ALTERNATING:
            words.append("".join(_arguments(rest)))
        elif request in _MDOC:
            words += [word for word in _arguments(rest) if word not in _MDOC_CALLS]
    close()
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph.strip())


def _arguments(rest: str) -> list[str]:
    return [_unescape(quoted or bare) for quoted, bare in _ARGUMENT.findall(rest)]


def _unescape(text: str) -> str:
    return _ESCAPE.sub(_character, text.partition('\\"')[0])


def _character(match: re.Match[str]) -> str:
    kind = match.lastgroup
    if kind == "character":
        return _CHARACTERS.get(match["character"], "")
    if kind == "named":
        return _NAMED.get(match["named"], "")
    if kind == "backslash":
        return "\\"
    return {"space": " ", "literal": match["literal"] or ""}.get(kind or "", "")
