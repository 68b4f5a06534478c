"""Human text on this machine: documentation of Python and its packages, licences, READMEs and manual pages.

Nothing is imported or run: Python files are parsed, the rest is read as text. The standard library comes
first, since its documentation was largely written and reviewed by people before language models were in use.
Installed packages are read too, and anything published after 2022 may hold text that a language model wrote;
that cannot be known from the files. `source` tells them apart, so that a doubtful part can be left out of a
comparison.
"""

import ast
import gzip
import hashlib
import importlib.metadata
import os
import re
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from curation.demo.roff import plain

LEAST_WORDS = 40
#: longer texts are cut at a paragraph, so that length does not give the origin away
MOST_CHARACTERS = 8_000
#: Python source read from all packages together and from each; bounds the time that parsing takes
PACKAGES_BYTES = 9_000_000
PACKAGE_BYTES = 900_000
MANUAL_PAGES = 700
#: pages of one family of commands (names up to the first separator); some families have thousands
FAMILY_PAGES = 25

_SKIPPED = frozenset(("test", "tests", "__pycache__", "site-packages", "dist-packages", "node_modules", "idle_test"))
#: written with the help of a language model, so it is no human text
_OURS = "curation"
_LICENCE = re.compile(r"(?i)^(licen[cs]e|copying|notice|authors)([-_.].*)?$")
_CODE = frozenset((".py", ".pyi", ".pyc", ".json", ".html", ".so", ".h"))


class Document(NamedTuple):
    """A human text: `source` is stdlib, topics, readme, licences, man or packages; `place` names it in that
    source."""

    source: str
    kind: str
    place: str
    text: str


def documents() -> dict[str, list[Document]]:
    """All human documents that the readers below find, by source, in the order of their places."""
    packages = _package_folders()
    readers = {
        "stdlib": standard_library(Path(sysconfig.get_path("stdlib"))),
        "topics": topics(Path(sysconfig.get_path("stdlib"))),
        "readme": readmes(),
        "licences": licences([Path(sysconfig.get_path("stdlib")), *packages]),
        "man": manual_pages(_manual_folders()),
        "packages": package_docstrings(packages),
    }
    return {name: sorted(found, key=lambda document: document.place) for name, found in readers.items()}


def standard_library(folder: Path) -> Iterator[Document]:
    """Docstrings of at least LEAST_WORDS words in the Python files under `folder`."""
    for path in _files(folder):
        if path.suffix == ".py":
            yield from _docstrings(path, folder, "stdlib")


def package_docstrings(folders: list[Path]) -> Iterator[Document]:
    """Docstrings of installed packages: of each, files in hash order up to PACKAGE_BYTES, PACKAGES_BYTES in
    all."""
    left = PACKAGES_BYTES
    for folder in folders:
        for package in sorted(folder.iterdir()) if folder.is_dir() else []:
            if package.name in (_OURS, "__pycache__") or not package.is_dir():
                continue
            allowance = PACKAGE_BYTES
            for path in sorted(
                (p for p in _files(package) if p.suffix == ".py"), key=lambda p: digest(_place(p, folder))
            ):
                size = path.stat().st_size
                if size > min(allowance, left):
                    continue
                allowance, left = allowance - size, left - size
                yield from _docstrings(path, folder, "packages")


def topics(folder: Path) -> Iterator[Document]:
    """The topics of Python's interactive help, read from `pydoc_data/topics.py` without importing it."""
    path = folder / "pydoc_data" / "topics.py"
    tree = _parse(path) if path.is_file() else None
    for node in tree.body if tree else []:
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(node.value, ast.Dict):
            for key, value in sorted(ast.literal_eval(node.value).items()):
                yield from _document("topics", "topic", key, value)


def readmes() -> Iterator[Document]:
    """Long descriptions in the metadata of installed distributions other than this one."""
    for distribution in importlib.metadata.distributions():
        metadata = distribution.metadata
        name = (metadata["Name"] or "").lower()
        if name and name != _OURS:
            text = metadata["Description"] or metadata.get_payload()  # type: ignore[attr-defined]
            yield from _document("readme", "readme", name, text if isinstance(text, str) else "")


def licences(folders: list[Path]) -> Iterator[Document]:
    """Licence files under `folders`; most of them repeat each other, exactly or with another name and
    year."""
    for folder in folders:
        for path in _files(folder):
            if _LICENCE.match(path.name) and path.suffix not in _CODE and not path.parts[-2].startswith(_OURS):
                yield from _document("licences", "licence", _place(path, folder), _read(path))


def manual_pages(folders: list[Path]) -> Iterator[Document]:
    """MANUAL_PAGES English manual pages under `folders` in hash order, FAMILY_PAGES a family, as plain text."""
    sections = [section for folder in folders for section in sorted(folder.glob("man[1-8]"))]
    pages = {f"{path.parent.name}/{path.name}": path for section in sections for path in section.iterdir()}
    families: Counter[str] = Counter()
    chosen = []
    for place in sorted(pages, key=digest):
        family = re.split(r"[-_.:]", pages[place].name)[0]
        families[family] += 1
        if families[family] <= FAMILY_PAGES:
            chosen.append(place)
    for place in chosen[:MANUAL_PAGES]:
        yield from _document("man", "manpage", place, plain(_read(pages[place])))


def digest(text: str) -> str:
    """16 hexadecimal digits that depend only on `text` (BLAKE2b of its UTF-8 bytes)."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _package_folders() -> list[Path]:
    return [Path(path) for path in sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})]


def _manual_folders() -> list[Path]:
    declared = [path for path in os.environ.get("MANPATH", "").split(os.pathsep) if path]
    roots = [f"{prefix}/share/man" for prefix in (sys.base_prefix, "/usr", "/usr/local")]
    return [Path(path) for path in dict.fromkeys(declared + roots) if Path(path).is_dir()]


def _files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED)
        for name in sorted(names):
            yield Path(root, name)


def _place(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _read(path: Path) -> str:
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, ValueError):
        return ""  # an unreadable or damaged file of the machine is not the demo's concern
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _parse(path: Path) -> ast.Module | None:
    try:
        return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _docstrings(path: Path, folder: Path, source: str) -> Iterator[Document]:
    try:
        raw = path.read_bytes()
    except OSError:
        return
    if b'"""' not in raw and b"'''" not in raw:
        return
    tree = _parse(path)
    pending: list[ast.AST] = [tree] if tree else []
    while pending:
        node = pending.pop()
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            text = ast.get_docstring(node) or ""
            name = getattr(node, "name", "")
            yield from _document(
                source, "docstring", f"{_place(path, folder)}:{getattr(node, 'lineno', 0)}:{name}", text
            )
        # only statements that can hold definitions, which are far fewer than all nodes
        for field in ("body", "orelse", "finalbody", "handlers"):
            pending += [child for child in getattr(node, field, ()) if hasattr(child, "body")]


def _document(source: str, kind: str, place: str, text: str) -> Iterator[Document]:
    text = text.replace("\r\n", "\n").replace("\0", "").encode("utf-8", "replace").decode().strip()
    if len(text) > MOST_CHARACTERS:
        end = max(text.rfind("\n\n", MOST_CHARACTERS // 2, MOST_CHARACTERS), text.rfind("\n", 0, MOST_CHARACTERS))
        text = text[: end if end > 0 else MOST_CHARACTERS].rstrip()
    if len(text.split()) >= LEAST_WORDS:
        yield Document(source, kind, place, text)
