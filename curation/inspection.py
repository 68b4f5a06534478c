"""Look at documents of a finished run: by id, by the reason for which they left, or what could not be read."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation import io
from curation.batch import as_strings, choose
from curation.config import Config, ConfigError, Input, columns_of, load, nearest
from curation.errors import NothingFound
from curation.layout import FORMATS
from curation.plan import Shard
from curation.schema import ADDED, OPTIONAL

TEXT_SHOWN = 700  # characters


def show(
    output: str, *, id: str | None = None, reason: str | None = None, shard: str | None = None, limit: int = 10
) -> int:
    """Print documents of the run in `output` and return the exit code 0.

    By `id`, wherever the document is; by `reason`, excluded for it; `quarantine` as the reason shows records that
    could not be read. By `shard`, named as in the report (`source/path`): half of `limit` kept, the rest excluded;
    with an id or a reason only documents of that shard. With none of them, excluded documents. Beside a duplicate
    stands the survivor. Raises ConfigError for a folder without a run and for a shard that the run did not read, and
    NothingFound where no document is what was asked for.
    """
    manifest = io.read_manifest(output)
    if manifest is None:
        raise ConfigError(f"{output} holds no finished run: there is no manifest.json in it", "no-finished-run")
    config = load(None, manifest["config"])
    if shard is not None:
        _known_shard(config, shard)
    if reason == "quarantine":
        blocks = list(_quarantined(output, limit, shard))
        if blocks:
            print("\n\n".join(blocks))
        return _found(len(blocks), "nothing was quarantined")
    if id is not None:
        found = list(_documents(config, ("kept", "excluded"), _has_id(config, {id}), limit, shard))
        _print(config, found)
        return _found(len(found), f"no document has the id {id!r}" + (f" in {shard}" if shard else ""))
    if shard is not None and reason is None:
        found = list(_documents(config, ("kept",), _any, limit, shard))
        left = list(_documents(config, ("excluded",), _any, limit - min(len(found), (limit + 1) // 2), shard))
        found = [*found[: limit - len(left)], *left]
        _print(config, found)
        return _found(len(found), f"{shard} has no document in the output")
    name = config.columns.prefix + "filter_reason"

    def excluded(batch: pa.RecordBatch) -> pa.Array:
        return pc.equal(batch.column(name), reason) if reason else pc.is_valid(batch.column(name))

    found = list(_documents(config, ("excluded",), excluded, limit, shard))
    _print(config, found)
    reasons = manifest["documents"]["by_reason"]
    if not found and config.run.excluded == "none" and reasons:
        return _found(0, "this run wrote no excluded documents (run.excluded: none)")
    if not found and shard is not None and reason in reasons:
        return _found(0, f"nothing in {shard} was excluded as {reason!r}")
    return _found(len(found), f"nothing was excluded as {reason!r}{nearest(reason or '', reasons)}")


def _any(batch: pa.RecordBatch) -> pa.Array:
    """Every document."""
    return pa.array(np.ones(batch.num_rows, bool))


def _known_shard(config: Config, name: str) -> None:
    known = {s.relative for folder in ("kept", "excluded", "quarantine") for s in _shards(config, folder)}
    if not any(_is(relative, name) for relative in known):
        raise ConfigError(f"{config.output} has no shard {name!r}{nearest(name, sorted(known))}", "input-not-found")


def _is(relative: str, name: str) -> bool:
    """Whether an output is that of the shard: it has its name, and an ending more where the format has changed."""
    return relative == name or relative in {f"{name}.{ending}" for ending in FORMATS.values()}


def _found(count: int, otherwise: str) -> int:
    """0, the exit code where something was shown. Raises NothingFound, saying `otherwise`, where nothing was."""
    if not count:
        raise NothingFound(otherwise)
    return 0


def _shards(config: Config, folder: str) -> tuple[Shard, ...]:
    url = f"{config.output}/{folder}"
    return io.expand([Input(path=url)]) if io.exists(url) else ()


def _documents(
    config: Config, folders: Iterable[str], keep: Any, limit: int, name: str | None = None
) -> Iterator[dict[str, Any]]:
    """Rows for which keep(batch) holds, at most `limit`, each with the folder it stands in as `in`; of one shard, if
    a name is given."""
    if limit <= 0:
        return
    columns = config.columns
    id_name = columns.id or "id"
    wanted = {columns.text, id_name, *(columns.prefix + column.name for column in (*ADDED, *OPTIONAL))}
    for folder in folders:
        for shard in _shards(config, folder):
            if name is not None and not _is(shard.relative, name):
                continue
            for batch, _ in io.read_shard(shard, text=config.columns.text, batch_bytes=4 << 20, on_bad=_ignore):
                found = choose(batch, pc.fill_null(keep(batch), False)).slice(0, limit)
                # not every column, since there are types without a Python form
                shown = {n: found.column(n) for n in found.schema.names if n in wanted}
                if id_name in shown:
                    shown[id_name] = as_strings(shown[id_name])
                for row in pa.RecordBatch.from_pydict(shown).to_pylist():
                    yield row | {"in": f"{folder}/{shard.relative}"}
                    limit -= 1
                    if limit <= 0:
                        return


def _ignore(_: Any) -> None:
    """Outputs of ours hold nothing that cannot be read."""


def _id_of(config: Config, row: dict[str, Any]) -> str:
    name = columns_of(config).id or "id"
    value = row.get(name)
    return str(value) if value is not None else _hex(row[config.columns.prefix + "content_hash"])


def _hex(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.hex()


def _has_id(config: Config, ids: set[str]) -> Any:
    # a repeated id is known by `id#rowhash`, but stands in the column as it came
    plain = pa.array(sorted({i.partition("#")[0] for i in ids} | ids), pa.string())
    name, hash_name = columns_of(config).id or "id", config.columns.prefix + "content_hash"

    def keep(batch: pa.RecordBatch) -> pa.Array:
        if name in batch.schema.names:
            return pc.is_in(as_strings(batch.column(name)), value_set=plain)
        hexes = [_hex(value) for value in batch.column(hash_name).to_pylist()]
        return pa.array(np.isin(np.array(hexes, object), plain.to_pylist()))

    return keep


def _print(config: Config, rows: list[dict[str, Any]]) -> None:
    wanted = {row[config.columns.prefix + "duplicate_of"] for row in rows} - {None}
    survivors: dict[str, dict[str, Any]] = {}
    if wanted:
        for row in _documents(config, ("kept", "excluded"), _has_id(config, wanted), 4 * len(wanted)):
            survivors.setdefault(_id_of(config, row), row)
    for row in rows:
        print(_block(config, row))
        of = row[config.columns.prefix + "duplicate_of"]
        if of is not None:
            survivor = survivors.get(of) or survivors.get(of.partition("#")[0])
            print(_indent(_block(config, survivor) if survivor else f"survivor {of} is not in the output"))
        print()


def _block(config: Config, row: dict[str, Any]) -> str:
    lines = [f"{_id_of(config, row)}  ({row['in']})"]
    for column in (*ADDED[1:], *OPTIONAL):
        value = row.get(config.columns.prefix + column.name)
        if value is not None:
            lines.append(f"  {column.name:<16} {f'{value:.6g}' if isinstance(value, float) else value}")
    text = str(row.get(config.columns.text) or "")
    cut = f"… ({len(text):,} characters)" if len(text) > TEXT_SHOWN else ""
    return "\n".join(lines) + "\n" + _indent(_printable(text[:TEXT_SHOWN]) + cut, "  | ")


def _printable(text: str) -> str:
    """Text without control and direction characters, which could rewrite the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in text.replace("\t", "    "))


def _indent(text: str, by: str = "      ") -> str:
    return "\n".join(by + line for line in text.splitlines())


def quarantined(output: str, name: str | None = None) -> Iterator[tuple[Shard, io.BadRecord]]:
    """What a run could not read, shard by shard; of one shard if a name is given."""
    url = f"{output}/quarantine"
    for shard in io.expand([Input(path=url)]) if io.exists(url) else ():
        if name is None or _is(shard.relative, name):
            for record in io.read_quarantine(shard.url):
                yield shard, record


def _quarantined(output: str, limit: int, name: str | None = None) -> Iterator[str]:
    for shard, record in islice(quarantined(output, name), limit):
        yield _bad_block(shard.relative, record)


def _bad_block(relative: str, record: io.BadRecord) -> str:
    """A record that could not be read: where it stands, what is wrong, and its first bytes made visible."""
    lost = f"{record.count:,} records" if record.count > 1 else "one record"
    at = "" if record.offset is None else f", byte {record.offset:,}"
    message = " ".join(_visible(record.message.encode("utf-8", "surrogateescape")).split())  # libraries break lines
    lines = [f"{relative.removesuffix('.parquet')}, record {record.row:,}{at}: {lost}, {record.error}: {message}"]
    raw = record.raw or b""
    if raw:
        cut = f"… ({len(raw):,} bytes are in the quarantine file)" if len(raw) > TEXT_SHOWN else ""
        lines.append(_indent(_visible(raw[:TEXT_SHOWN]) + cut, "  | "))
    else:
        lines.append("  (no bytes: they could not be read)")
    return "\n".join(lines)


def _visible(raw: bytes) -> str:
    """Bytes so that a person sees what they are: UTF-8 where it is, else \\xff; what has no shape by its escape.

    Control, direction, zero-width and private characters are escaped, a tab as \\t, and a hex dump stands for what is
    mostly binary.
    """
    text = raw.decode("utf-8", "backslashreplace")
    if raw and sum(byte < 9 or 13 < byte < 32 for byte in raw) > len(raw) / 10:
        rows = [raw[i : i + 16] for i in range(0, min(len(raw), 128), 16)]
        plain = ["".join(chr(b) if 32 <= b < 127 else "." for b in row) for row in rows]
        dump = enumerate(zip(rows, plain, strict=True))
        return "\n".join(f"{i * 16:04x}  {row.hex(' '):<47}  {shown}" for i, (row, shown) in dump)
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)
