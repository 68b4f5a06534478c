"""From what the configuration names to the shards that exist: everything that can be wrong is found before
work.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pyarrow as pa
import xxhash

from curation.config import Columns, ConfigError, Input, nearest, read_as, renames
from curation.io import files
from curation.io.opening_many import each
from curation.io.readers import final_schema, has_field, is_text, peek
from curation.layout import FORMATS, extension, family, format_of
from curation.plan import Shard
from curation.schema import ADDED, OPTIONAL

MAGIC = re.compile(r"[*?\[{]")
KNOWN = ", ".join(FORMATS)
READABLE = "let this user read it (chmod a+r, a folder a+rx) or leave it out of the input"
MANIFEST = "manifest.json"
#: the folders that a run writes in its output
OURS = ("kept", "excluded", "quarantine", "signals", "decisions", "report")
MEMBERS = 4_096  # most files of plain text in one shard
MEMBER_BYTES = 256 << 20  # and most bytes of them
MOST_NAMES = 5  # of what there is instead, in an error
MOST_COLUMNS = 20
MOST_NAME_BYTES = 240  # of a file or folder; outputs add to it, and file systems take 255


def expand(inputs: Sequence[Input], output: str = "", columns: Columns | None = None) -> tuple[Shard, ...]:
    """The shards that the inputs name, sorted by (source, relative) and numbered in that order.

    An input is a file, a folder (every file of a known format below it, hidden ones not), a glob (`*`, `?`,
    `[...]`, `{a,b}`, `**` for any folders) or the output folder of an earlier run, of which the kept shards
    are read. What stands below `output`, and what earlier runs wrote (manifest.json, kept/, excluded/ and so on)
    in folders below an input, is not read, unless a glob spells the folder out as in `runs/*/kept/*`. `relative`
    is the path below the folder, the file's folder, or the part of the glob before its first special
    character. Plain text files are gathered to shards of up to MEMBERS files, each of which is a document; in a folder
    that holds files of another format too, they are left out, since they are notes or licences there.

    columns: the names under which columns are read that an input calls otherwise.

    Raises ConfigError for an input that names nothing, an unknown extension, one file under two sources or
    declarations, two files that would share an output name, a file or folder that may not be read, an `output`
    that is an input folder or whose kept/ and so on hold the input, and an earlier run's folder that holds other
    data files too.
    """
    if not inputs:
        raise ConfigError("there is no input: give --input or inputs in the configuration", "no-input")
    found: _Expanded = {}
    owner: dict[str, tuple[Input, files.Found]] = {}
    for entry in inputs:
        if not entry.path:
            raise ConfigError("inputs: a path is empty", "input-not-found")
        try:
            matched = _matches(entry.path, output)
        except PermissionError as error:
            raise ConfigError(f"{error.filename} may not be listed; {READABLE}", "not-readable") from None
        for file, members in _gathered(entry.path, matched):
            if members:
                _add(found, entry, file, members)
                continue
            identity = os.path.realpath(files.local_path(file.url)) if files.is_local(file.url) else file.url
            if files.is_local(file.url) and not os.access(identity, os.R_OK):
                raise ConfigError(f"{file.url} may not be read; {READABLE}", "not-readable")
            other = owner.get(identity)
            if other is not None:
                if other[0].model_dump(exclude={"path"}) != entry.model_dump(exclude={"path"}):
                    raise ConfigError(
                        f"{file.url} is matched by two inputs that declare different things: {other[0].path} "
                        f"(source {other[0].source}) and {entry.path} (source {entry.source}); "
                        "narrow one of them",
                        "input-ambiguous",
                    )
                continue  # overlapping globs of one source
            owner[identity] = (entry, file)
            _add(found, entry, file, ())
    _check_output_names(found)
    names = read_as(inputs, columns or Columns())
    return tuple(
        Shard(
            index,
            file.url,
            source,
            relative,
            entry.trust,
            entry.before,
            file.size,
            file.version,
            renames(entry, names),
            members,
        )
        for index, ((source, relative), (entry, file, members)) in enumerate(sorted(found.items()))
    )


def _check_name(file: files.Found) -> None:
    """Raise ConfigError where the outputs of a file could not have their names."""
    try:
        longest = max(len(part.encode()) for part in file.relative.split("/"))
    except UnicodeEncodeError:
        raise ConfigError(f"the name {os.fsencode(file.url)!r} is not UTF-8: rename it", "bad-name") from None
    if longest > MOST_NAME_BYTES:
        raise ConfigError(
            f"the name {file.url} is too long: what is written beside it adds an ending, and {MOST_NAME_BYTES} bytes "
            f"are most, not {longest}; rename it",
            "bad-name",
        )


_Expanded = dict[tuple[str, str], tuple[Input, files.Found, tuple[str, ...]]]


def _add(found: _Expanded, entry: Input, file: files.Found, members: tuple[str, ...]) -> None:
    key = (entry.source, file.relative)
    if key in found:
        raise ConfigError(
            f"{found[key][1].url} and {file.url} would both be {entry.source}/{file.relative} in the "
            "output; give them different sources or read them through their common folder",
            "input-ambiguous",
        )
    found[key] = (entry, file, members)


def _gathered(path: str, matched: list[files.Found]) -> Iterator[tuple[files.Found, tuple[str, ...]]]:
    """Files as they are, and plain text in groups: a shard below its folder and the paths of its members."""
    group: list[files.Found] = []
    number = size = 0
    folder = ""
    for file in matched:
        _check_name(file)
        if family(file.relative) != "txt":
            yield file, ()
            continue
        if files.is_local(file.url) and not os.access(file.url, os.R_OK):
            raise ConfigError(f"{file.url} may not be read; {READABLE}", "not-readable")
        folder = file.url[: -len(file.relative)].rstrip("/") or "/"
        if group and (len(group) == MEMBERS or size + file.size > MEMBER_BYTES):
            yield _shard_of(folder, group, number, path)
            group, size, number = [], 0, number + 1
        group.append(file)
        size += file.size
    if group:
        yield _shard_of(folder, group, number, path)


def _shard_of(folder: str, group: list[files.Found], number: int, path: str) -> tuple[files.Found, tuple[str, ...]]:
    alone = len(group) == 1 and number == 0 and group[0].relative == path.rpartition("/")[2]
    name = group[0].relative if alone else f"texts-{number:05}.txt"
    size, version = _together(group)
    return files.Found(folder, name, size, version), tuple(file.relative for file in group)


def _together(group: list[files.Found]) -> tuple[int, str]:
    """Size and version of many files as one."""
    version = xxhash.xxh3_128()
    for file in group:
        version.update(f"{file.relative}\0{file.size}\0{file.version}\0".encode("utf-8", "surrogateescape"))
    return sum(file.size for file in group), version.hexdigest()


def size_and_version(shard: Shard) -> tuple[int, str]:
    """What `shard.size` and `shard.version` would be now. Raises FileNotFoundError."""
    if not shard.members:
        return files.size(shard.url), files.version(shard.url)
    urls = [(files.join(shard.url, member), member) for member in shard.members]
    return _together([files.Found(url, member, files.size(url), files.version(url)) for url, member in urls])


def _check_output_names(found: _Expanded) -> None:
    for source, relative in found:
        for known in FORMATS:
            if (source, relative + known) in found:
                raise ConfigError(
                    f"{relative} and {relative + known} of source {source} would share an output name; "
                    "rename one or give them different sources",
                    "input-ambiguous",
                )


def _matches(path: str, output: str) -> list[files.Found]:
    if files.is_local(path):
        path = files.local_path(path)
    _check_apart(path, output)
    if files.exists(path) and not files.is_folder(path):
        url, name = path, path.rpartition("/")[2]
        if format_of(name) is None:
            raise ConfigError(f"{path}: unknown extension; known are {KNOWN}", "unknown-format")
        return [files.Found(url, name, files.size(url), files.version(url))]
    if files.is_folder(path):
        if _is_run(path):
            _check_unmixed(path, output)
            path = files.join(path, "kept")
            _check_apart(path, output)
        listed = _not_ours(path, files.list_files(path), output)
        matched = [f for f in listed if format_of(f.relative) is not None]
        matched = [f for f in matched if family(f.relative) != "txt"] or matched
        if not matched:
            raise ConfigError(f"the folder {path} holds no file of a known format ({KNOWN})", "input-not-found")
        return matched
    if not MAGIC.search(path):
        raise ConfigError(f"there is no file or folder {path}{_nearest_existing(path)}", "input-not-found")
    root, pattern = _split_glob(path)
    depth = None if "**" in pattern else max(p.count("/") for p in _braces(pattern)) + 1
    expression = re.compile("|".join(_translate(p) for p in _braces(pattern)))
    listed = _not_ours(root, files.list_files(root, depth), output, pattern)
    matched = [f for f in listed if expression.fullmatch(f.relative)]
    if not matched:
        raise ConfigError(f"{path} matches no file{_nearest_existing(path)}", "input-not-found")
    unknown = [f.url for f in matched if format_of(f.relative) is None]
    if unknown:
        raise ConfigError(
            f"{path} matches {unknown[0]}, whose extension is unknown; known are {KNOWN}",
            "unknown-format",
        )
    texts = [f for f in matched if family(f.relative) == "txt"]
    if texts and len(texts) < len(matched):
        other = next(f for f in matched if family(f.relative) != "txt")
        wanted = files.join(root, "**/*" + extension(other.url))
        raise ConfigError(
            f"{path} matches files of plain text such as {texts[0].relative}, which would be documents, beside others "
            f"such as {other.relative}; say which are meant: --input '{wanted}'",
            "input-ambiguous",
        )
    return matched


def _is_run(folder: str) -> bool:
    return files.exists(files.join(folder, "manifest.json")) and files.is_folder(files.join(folder, "kept"))


def _check_apart(path: str, output: str) -> None:
    """Raise ConfigError where a run to `output` would write into the folder that it reads."""
    if not output:
        return
    inside = _below(_real(path), _real(output))
    if inside == "":
        raise ConfigError(
            f"output: {output} is an input too, so results would be read as input; give another --output",
            "output-conflict",
        )
    if inside is not None and inside.partition("/")[0] in OURS:
        raise ConfigError(
            f"output: the input {path} is what a run to {output} writes; give another --output",
            "output-conflict",
        )


def _check_unmixed(run: str, output: str) -> None:
    """Raise ConfigError where it is not clear whether what a run kept is meant, or the data that it read."""
    for file in _not_ours(run, files.list_files(run), output):
        if format_of(file.relative) is not None:
            first, slash, _ = file.relative.partition("/")
            other = files.join(run, first if slash else "*" + extension(first))
            raise ConfigError(
                f"{run} holds the output of an earlier run (manifest.json) and other data files such as "
                f"{file.relative}; say which is meant: --input '{files.join(run, 'kept')}' or --input '{other}'",
                "input-ambiguous",
            )


def _not_ours(root: str, listed: list[files.Found], output: str, pattern: str = "") -> list[files.Found]:
    """Without what stands below `output`, and without what earlier runs wrote at the root or below it.

    Where the root lies in `output` itself, only what a run writes there is left out. Folders that `pattern` spells
    out are wanted.
    """
    names = {f.relative for f in listed}
    candidates = {name[: -len(MANIFEST)] for name in names if name == MANIFEST or name.endswith("/" + MANIFEST)}
    runs = {run for run in candidates if _is_run(files.join(root, run.rstrip("/")) if run else root)}
    spelt = {part for choice in _braces(pattern) for part in choice.split("/")}
    skipped = tuple(run + name + "/" for run in runs for name in OURS if name not in spelt)
    manifests = {run + MANIFEST for run in runs}
    left = [f for f in listed if f.relative not in manifests and not f.relative.startswith(skipped)]
    if not output:
        return left
    top, real = _real(output), _real(root)
    root_inside = _below(real, top) is not None
    real_folders: dict[str, str] = {}

    def written(file: files.Found) -> bool:
        folder = file.url.rpartition("/")[0]
        if folder not in real_folders:
            real_folders[folder] = _real(folder)
        inside = _below(real_folders[folder], top)
        return inside is not None and (not root_inside or inside.partition("/")[0] in OURS)

    return [f for f in left if not written(f)]


def _real(url: str) -> str:
    """A name by which places are compared: local links are resolved."""
    return os.path.realpath(files.local_path(url)) if files.is_local(url) else url.rstrip("/")


def _below(place: str, folder: str) -> str | None:
    """The path of a place below a folder, empty for the folder itself; None when it lies elsewhere."""
    if place == folder:
        return ""
    top = folder.rstrip("/") + "/"
    return place[len(top) :] if place.startswith(top) else None


def _split_glob(path: str) -> tuple[str, str]:
    """The fixed folder of a glob and the pattern below it."""
    scheme, separator, rest = path.rpartition("://")
    parts = rest.split("/")
    first = next(i for i, part in enumerate(parts) if MAGIC.search(part))
    root = "/".join(parts[:first])
    return (scheme + separator + root) or "/", "/".join(parts[first:])


def _braces(pattern: str) -> list[str]:
    """`a{b,c}` -> [`ab`, `ac`]."""
    group = re.search(r"\{([^{}]*)\}", pattern)
    if group is None:
        return [pattern]
    before, after = pattern[: group.start()], pattern[group.end() :]
    return [whole for choice in group[1].split(",") for whole in _braces(before + choice + after)]


def _translate(pattern: str) -> str:
    out = ""
    position = 0
    while position < len(pattern):
        rest = pattern[position:]
        bracket = re.match(r"\[(!?)(\]?[^\]]*)\]", rest)
        if rest.startswith("**/") and (position == 0 or pattern[position - 1] == "/"):
            out, position = out + "(?:[^/]+/)*", position + 3
        elif rest.startswith("**"):
            out, position = out + ".*", position + 2
        elif rest[0] == "*":
            out, position = out + "[^/]*", position + 1
        elif rest[0] == "?":
            out, position = out + "[^/]", position + 1
        elif bracket:
            members = (
                bracket[2].replace("\\", r"\\").replace("]", r"\]").replace("[", r"\[").replace("^", r"\^")
            )
            out, position = out + f"[{'^/' if bracket[1] else ''}{members}]", position + bracket.end()
        else:
            out, position = out + re.escape(rest[0]), position + 1
    return f"(?s:{out})"


def _nearest_existing(path: str) -> str:
    """What there is instead, for an error: the deepest folder that exists and the name in it closest to
    the wanted.
    """
    parts = path.split("/")
    first = next((i for i, part in enumerate(parts) if MAGIC.search(part)), len(parts) - 1)
    for end in range(first, 0, -1):
        folder = "/".join(parts[:end]) or "/"
        if not folder.endswith(":/") and files.exists(folder):
            names = _names(folder)
            return f"; {folder} exists" + (_few(parts[end], names[:1000]) if names else " and is empty")
    return ""


def _few(name: str, names: list[str]) -> str:
    """The nearest of the names, else the first few of them."""
    hint = nearest(name, names)
    if len(names) <= MOST_NAMES or hint.startswith(":"):
        return hint
    return f"; there is {', '.join(names[:MOST_NAMES])} and {len(names) - MOST_NAMES:,} more"


def _names(folder: str) -> list[str]:
    fs, path = files.filesystem(folder)
    return sorted(name.rstrip("/").rpartition("/")[2] for name in fs.ls(path, detail=False))


def check_columns(shards: Sequence[Shard], columns: Columns, section: str = "columns") -> None:
    """Do all shards have the columns that the configuration names, and none that stands in the way of
    ours?

    Reads the footer or the first records of each shard (all of it for a field that these lack), some shards of an
    object store at a time; one that cannot be read is left to the quarantine. Raises ConfigError naming the first shard
    that is wrong, the column and the nearest one, or `columns.prefix` for a foreign column that has the name of one
    that curation adds. `section` is where the configuration names the columns.
    """
    for _ in each(lambda shard: _check_shard(shard, columns, section), shards):
        pass


def _check_shard(shard: Shard, columns: Columns, section: str) -> None:
    schema = peek(shard, columns.text)
    if schema is None:
        return
    for key, name in _named(columns):
        if (count := schema.names.count(name)) > 1:
            raise ConfigError(
                f"{section}.{key}: {shard.url} has {count} columns called {name!r}; keep one",
                "missing-column",
            )
        own = next((mine for mine, read in shard.columns if read == name), name)
        absent = name not in schema.names and family(shard.relative) == "jsonl"
        # a field may come late: look through the shard, whose schema is that of records with text
        if absent and (name != columns.text or has_field(shard, name)):
            schema = final_schema(shard, text=columns.text)
        if name not in schema.names:
            names = [next((mine for mine, read in shard.columns if read == n), n) for n in schema.names]
            where = f"{section}.{key}" if own == name else f"inputs.columns.{key}"
            way_out = ""
            if section == "columns" and key == "text" and own == name:
                way_out = "; name the column of the documents with --set columns.text=NAME"
            raise ConfigError(
                f"{where}: {shard.url} has no column {own!r}{_instead(own, names)}{way_out}", "missing-column"
            )
    _check_renamed(shard, schema)
    kind = schema.field(columns.text).type
    if not is_text(kind):
        binary = "; if it is text in UTF-8, cast it: table['...'].cast('string')" if _is_binary(kind) else ""
        raise ConfigError(
            f"{section}.text: {columns.text!r} of {shard.url} is {kind}, not a string column{binary}",
            "wrong-column-type",
        )
    for column in (*ADDED, *OPTIONAL):
        name = columns.prefix + column.name
        if name in schema.names and not _ours(schema.field(name).type, column.type, shard):
            raise ConfigError(
                f"{shard.url} has a column {name!r} of type {schema.field(name).type} that curation "
                f"did not add; set columns.prefix so that the added columns get other names",
                "column-taken",
            )


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)


def _check_renamed(shard: Shard, schema: pa.Schema) -> None:
    """Raise ConfigError for an input's own column that is not there, or whose new name is that of another column."""
    raw = replace(shard, columns=())
    plain = (peek(raw) if shard.columns else None) or schema
    for own, name in shard.columns:
        if own not in plain.names and family(shard.relative) == "jsonl":
            plain = final_schema(raw, text=own)  # a field may come late
        if own not in plain.names:
            raise ConfigError(
                f"inputs.columns: {shard.url} has no column {own!r}{_instead(own, plain.names)}",
                "missing-column",
            )
        if name in plain.names and name not in dict(shard.columns):
            raise ConfigError(
                f"inputs.columns: {shard.url} has both {own!r}, to be read as {name!r}, and a column {name!r}; "
                f"set columns to another name than {name!r}",
                "missing-column",
            )


def _instead(name: str, names: list[str]) -> str:
    """The nearest column and what columns there are, for an error."""
    close = nearest(name, names)
    more = f" and {len(names) - MOST_COLUMNS} more" if len(names) > MOST_COLUMNS else ""
    has = f"it has {', '.join(names[:MOST_COLUMNS])}{more}"
    return f"{close} ({has})" if close.startswith(":") else f"; {has}"


def _named(columns: Columns) -> Iterator[tuple[str, str]]:
    for key, name in columns:
        if key != "prefix" and name is not None:
            yield key, name


def _ours(found: pa.DataType, ours: pa.DataType, shard: Shard) -> bool:
    """Could this be our column, written by us or passed through a tool that widens types?"""
    if pa.types.is_null(found) or found.equals(ours):
        return True
    if pa.types.is_dictionary(found):
        found = found.value_type
    json = format_of(shard.url) != "parquet"
    text = pa.types.is_string(found) or pa.types.is_large_string(found) or pa.types.is_string_view(found)
    if pa.types.is_string(ours):
        return text
    if pa.types.is_fixed_size_binary(ours):
        binary = (
            pa.types.is_binary(found) or pa.types.is_large_binary(found) or pa.types.is_binary_view(found)
        )
        return binary or (json and text)
    return json and pa.types.is_floating(ours) and (pa.types.is_floating(found) or pa.types.is_integer(found))
