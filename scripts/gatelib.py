"""What the gate makes of texts of known kind: the data folder's, this machine's code, tables and formulas made here.

Code is split by hash of the file's name, and what tables are made of by hash of the text: bounds of the gate may be
chosen on one half, and the other is reported.
"""

import hashlib
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.kernels.tokens import WORD
from curation.schema import LABELS
from curation.synthetic import anchor_state, apply, calibrate, empty_anchors, load_model, score
from curation.synthetic.calibration import Calibration
from curation.synthetic.histogram import Anchors
from curation.synthetic.tables import percent
from curation.text.gate import GATES, LANGS, gate
from curation.text.tokens import Tokens, text_buffer, tokenise

STRETCH = 1500  # bytes of a stretch
FILES, STRETCHES, MADE = 4000, 4000, 1500  # most texts of a kind
ANCHORS = 6000
LONGEST = 1 << 20  # bytes of a file, read or not at all
HALVES = ("develop", "report")

_SYSTEM = ("/usr/include", "/usr/local/include", "/usr/local/cuda/include")
_SCRIPTS = ("/usr/lib/node_modules", "/usr/share/nodejs", "/usr/share/javascript", "/usr/share/doc")
_C = (".h", ".hh", ".hpp", ".hxx", ".cuh", ".c", ".cc", ".cpp", ".cxx")
_JS = (".js", ".mjs", ".cjs", ".ts")


def half_of(path: str) -> str:
    return HALVES[_digest(path) & 1]


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "little")


#: kinds of documents in the data folder, by the beginning of (label, domain)
_KINDS = {
    "student essays": ("0 student_essay",),
    "reviews": ("0 movie_review", "0 product_review"),
    "stories": ("0 fiction",),
    "encyclopaedia": ("0 wikipedia", "0 m4_wiki"),
    "abstracts": ("0 acl_abstract", "0 m4_arxiv"),
    "questions and answers": ("0 coffee.", "0 beer.", "0 health_qa", "0 m4_reddit"),
    "texts of 21 domains (L2R)": ("0 l2r",),
    "mailing lists": ("0 mail_list",),
    "spam mail": ("0 mail_spam",),
    "design documents": ("0 eip_", "0 peps_", "0 rfc_"),
    "how-to articles": ("0 howto",),
    "commit messages": ("0 commit",),
    "code": ("0 code",),
    "assistants' answers": ("1 assistant",),
    "stories by models": ("1 story",),
    "reports by models": ("1 research",),
    "project documents and commits by agents": ("1 project", "1 commit"),
}


def code(half: str) -> dict[str, list[str]]:
    """Files of a half of this machine's code, and stretches of them cut anywhere, by kind."""
    library, packages = Path(sysconfig.get_path("stdlib")), Path(sysconfig.get_path("purelib"))
    kinds: dict[str, Iterator[Path]] = {
        "Python's standard library": (p for p in _files([library], (".py",)) if "site-packages" not in p.parts),
        "installed Python packages": _files([packages], (".py", ".pyx", ".pyi")),
        "C and C++": _files([*map(Path, _SYSTEM), packages, library.parents[1] / "include"], _C),
        "JavaScript and TypeScript": _files([*map(Path, _SCRIPTS), packages], _JS),
    }
    found = {}
    for kind, paths in kinds.items():
        # by content too: one header in two places is one text
        texts = {}
        for path in sorted((p for p in paths if half_of(p.name) == half), key=lambda p: _digest(str(p)))[: 2 * FILES]:
            raw = path.read_bytes()
            if len(raw) <= LONGEST:
                texts.setdefault(hashlib.blake2b(raw).digest(), raw)
        raws = list(texts.values())[:FILES]
        found[f"{kind}, files"] = [raw.decode("utf-8", "replace") for raw in raws]
        cuts = [(i, at) for i, raw in enumerate(raws) for at in range(0, len(raw) - STRETCH + 1, STRETCH)]
        drawn = np.random.default_rng(3).permutation(len(cuts))[:STRETCHES]
        pieces = [raws[cuts[d][0]][cuts[d][1] : cuts[d][1] + STRETCH] for d in drawn]
        found[f"{kind}, stretches of {STRETCH:,} bytes"] = [piece.decode("utf-8", "ignore") for piece in pieces]
    sources = found["installed Python packages, files"] + found["Python's standard library, files"]
    strings = (match[1] for text in sources for match in re.finditer(r'"""(.*?)"""', text, re.DOTALL))
    found["docstrings with formulas"] = [s for s in strings if ":math:" in s or "\\frac" in s][:STRETCHES]
    return {kind: values for kind, values in found.items() if values}


def _files(roots: list[Path], endings: tuple[str, ...]) -> Iterator[Path]:
    for root in roots:
        for path in root.rglob("*") if root.is_dir() else ():
            if path.suffix in endings and path.is_file():
                yield path


def made(human: list[str]) -> dict[str, list[str]]:
    """Tables of data and prose cells, and prose with formulas, from human texts."""
    random = np.random.default_rng(11)
    sentences = [s.strip() for text in human for s in text.replace("\n", " ").split(". ") if 30 < len(s) < 120]
    joins = {"CSV": ",", "tabs": "\t", "bars": " | ", "aligned": ""}
    found: dict[str, list[str]] = {
        "tables of data and cells of prose": [],
        "formulas and some prose": [],
        "prose and some formulas": [],
    }
    for i in range(MADE):
        name = list(joins)[i % len(joins)]
        rows = []
        for row in range(int(random.integers(8, 40))):
            words = sentences[int(random.integers(len(sentences)))]
            date = f"{1990 + int(random.integers(30))}-0{1 + row % 9}-11"
            cells = [str(row + 1), words, date, str(random.integers(999))]
            if name == "CSV":
                cells[1] = f'"{words}"' if "," in words else words
            if name == "aligned":
                cells = [cells[0].ljust(5), cells[1].ljust(122), cells[2].ljust(14), cells[3]]
            line = joins[name].join(cells)
            rows.append(f"| {line} |" if name == "bars" else line)
        found["tables of data and cells of prose"].append("\n".join(rows))
        for kind, among in (("formulas and some prose", 2), ("prose and some formulas", 4)):
            parts = [
                f"{sentences[int(random.integers(len(sentences)))]}." if at % among else _formula(random)
                for at in range(int(random.integers(20, 41)))
            ]
            found[kind].append(" ".join(parts))
    return found


def _formula(random: np.random.Generator) -> str:
    a, b, c = (str(random.choice(list("abcfgknuvwxyz"))) for _ in range(3))
    shapes = (
        rf"Let ${a} \in \mathbb{{R}}^{{{b}}}$.",
        rf"\[ \int_0^1 {a}({b}) \, d{b} = \sum_{{{c}=1}}^n \frac{{{a}_{c}}}{{{b}_{c}}} \]",
        rf"Then ${a} \leq \| {b} \|_2$ for all ${c}$.",
        rf"\begin{{equation}} {a} = \alpha {b}^2 + \beta {c} \label{{eq:{a}{b}}} \end{{equation}}",
    )
    return shapes[int(random.integers(len(shapes)))]


def judged(texts: list[str], calibrations: list[Calibration]) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """(gate codes, word counts, labelled bool[docs] for each calibration) of texts from no known source."""
    column = pa.array([text.encode("utf-8", "replace").decode() for text in texts], pa.large_string())
    tokens = tokenise(column)
    gated = gate(tokens, *text_buffer(column))
    logit, _ = score(tokens, load_model())
    words = _words(tokens)
    lang, source = np.array(LANGS)[gated.lang], np.full(len(texts), "")
    labels = [apply(found, logit, words, source, gated.code, lang)[1] for found in calibrations]
    return gated.code, words, [label != LABELS.index("undetermined") for label in labels]


def kinds(folder: Path) -> list[str]:
    """The gate of the data folder's documents: per cent of each kind, with intervals."""
    table = _documents(folder, ["text", "label", "lang", "domain"])
    english = pc.equal(table["lang"], "en").to_numpy(zero_copy_only=False)
    names = np.array([f"{y} {d}" for y, d in zip(table["label"].to_pylist(), table["domain"].to_pylist(), strict=True)])
    lines = ["", "| text | documents | prose | mixed | else | language `en` |", "|---|---|---|---|---|---|"]
    groups = {kind: english & np.char.startswith(names[:, None], np.array(heads)).any(axis=1)
              for kind, heads in _KINDS.items()}  # fmt: skip
    groups["Russian, Bulgarian and Arabic news and encyclopaedia"] = ~english & np.char.startswith(names, "0 ")
    for kind, rows in groups.items():
        column = table["text"].filter(pa.array(rows)).combine_chunks().cast(pa.large_string())
        gated = gate(tokenise(column), *text_buffer(column))
        shares = {GATES[g]: 100 * float((gated.code == g).mean()) for g in range(len(GATES))}
        other = sorted((-share, name) for name, share in shares.items() if name not in ("prose", "mixed"))
        rest = ", ".join(f"{name} {-share:.1f}" for share, name in other[:2] if -share >= 0.1)
        cells = " | ".join(percent(gated.code == GATES.index(name)) for name in ("prose", "mixed"))
        lines.append(f"| {kind} | {len(column):,} | {cells} | {rest} | {percent(gated.lang == LANGS.index('en'))} |")
    return lines


def labelled(folder: Path, half: str = HALVES[1]) -> list[str]:
    """Texts that are no prose and have a hard label all the same: per cent of each kind, with counts and intervals."""
    table = _documents(folder, ["text", "label", "lang", "domain"])
    human = table.filter((pc.field("label") == 0) & (pc.field("lang") == "en"))
    programs = human.filter(pc.field("domain") == "code")["text"].to_pylist()
    prose = human.filter(pc.field("domain") != "code")["text"].to_pylist()
    prose = [prose[i] for i in np.random.default_rng(5).permutation(len(prose))]
    known = [calibrate(_anchors(prose[: 2 * ANCHORS]), load_model()), calibrate(empty_anchors(), load_model())]
    texts = {"code of the data folder (Go, TensorFlow)": programs, **code(half)}
    texts |= made([text for text in prose[2 * ANCHORS :] if half_of(text) == half][:2000])
    heads = "text", "documents", "prose of 150 words or more, %", f"a label, {ANCHORS:,} anchors, %", "no anchors, %"
    lines = ["", f"| {' | '.join(heads)} |", "|---|---|---|---|---|"]
    for kind, values in texts.items():
        found, words, labels = judged(values, known)
        cells = " | ".join(percent(hits, 2) for hits in ((found == GATES.index("prose")) & (words >= 150), *labels))
        lines.append(f"| {kind} | {len(values):,} | {cells} |")
    return lines


def _documents(folder: Path, columns: list[str]) -> pa.Table:
    parts = ("detection-open", "detection-open-2")
    paths = [path for part in parts for path in sorted((folder / part).glob("*.parquet"))]
    return pa.concat_tables([pq.read_table(path, columns=columns) for path in paths])


def _anchors(texts: list[str]) -> Anchors:
    """The first documents of English prose among the texts, as anchors of one source."""
    column = pa.array(texts, pa.large_string())
    tokens = tokenise(column)
    gated = gate(tokens, *text_buffer(column))
    logit, check = score(tokens, load_model())
    prose = (gated.code == GATES.index("prose")) & (gated.lang == LANGS.index("en")) & np.isfinite(logit)
    first = prose & (np.cumsum(prose) <= ANCHORS)
    return anchor_state(logit, check, _words(tokens), np.full(len(texts), "human"), first)


def _words(tokens: Tokens) -> np.ndarray:
    return np.diff(np.concatenate(([0], np.cumsum((tokens.kind & WORD) > 0)))[tokens.offsets])
