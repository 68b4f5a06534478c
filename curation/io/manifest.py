"""manifest.json, which says what a run read and wrote, and the lock that keeps two runs out of one folder."""

import errno
import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from typing import IO, Any

import orjson
import xxhash

from curation.config import Config, ConfigError
from curation.errors import RecordsLost
from curation.io import files
from curation.plan import Shard
from curation.schema import SIGNALS_VERSION
from curation.text import TOKENISER

NAME = "manifest.json"
READ_BYTES = 1 << 20


def checksum(url: str) -> str:
    """xxh3_128 of a file's bytes in hex. Raises FileNotFoundError."""
    engine = xxhash.xxh3_128()
    with files.open_file(url) as file:
        while piece := file.read(READ_BYTES):
            engine.update(piece)
    return engine.hexdigest()


def shard_checksum(shard: Shard) -> str:
    """`checksum` of a shard; of many files, that of their names and checksums."""
    if not shard.members:
        return checksum(shard.url)
    engine = xxhash.xxh3_128()
    for member in shard.members:
        found = checksum(files.join(shard.url, member))
        engine.update(f"{member}\0{found}\n".encode("utf-8", "surrogateescape"))
    return engine.hexdigest()


def versions() -> dict[str, str]:
    """Versions of what decisions depend on; a package that is used without being installed is `source`."""
    found = {"python": platform.python_version(), "signals": SIGNALS_VERSION, "tokeniser": TOKENISER}
    for name in ("curation", "numpy", "pyarrow", "numba", "scipy", "xxhash"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "source"
    return found


def input_entry(shard: Shard, rows: int) -> dict[str, Any]:
    """The manifest's line on an input: where, how large, which version, what checksum and how many
    records. The checksum is null where the file cannot be read any more, so when it was deleted since.
    """
    try:
        found = shard_checksum(shard)
    except OSError:
        found = None
    return {
        "url": shard.url,
        "source": shard.source,
        "relative": shard.relative,
        "trust": shard.trust,
        "bytes": shard.size,
        "version": shard.version,
        "rows": rows,
        "xxh3_128": found,
    }


def output_entry(output: str, relative: str, rows: int) -> dict[str, Any]:
    """The manifest's line on an output file, by its path below the output folder."""
    url = files.safe_join(output, relative)
    return {"path": relative, "bytes": files.size(url), "rows": rows, "xxh3_128": checksum(url)}


def build(
    config: Config,
    *,
    hashes: Mapping[str, str],
    inputs: Sequence[Mapping[str, Any]],
    outputs: Sequence[Mapping[str, Any]],
    documents: Mapping[str, Any],
    stages: Mapping[str, Any],
) -> dict[str, Any]:
    """A manifest. inputs, outputs: entries as above; documents: read, kept, excluded, quarantined; stages:
    counts.

    Raises ValueError when the records read are not those kept, excluded and quarantined.
    """
    parts = [int(documents[key]) for key in ("kept", "excluded", "quarantined")]
    if int(documents["read"]) != sum(parts):
        raise RecordsLost(
            f"{documents['read']} records were read, but {parts[0]} kept, {parts[1]} excluded and {parts[2]} "
            "quarantined: records were lost or counted twice"
        )
    return {
        "versions": versions(),
        "config": config.model_dump(mode="json"),
        "hashes": dict(hashes),
        "seeds": {"run": config.run.seed, "dedup": config.dedup.seed},
        "documents": dict(documents),
        "stages": dict(stages),
        "inputs": sorted((dict(entry) for entry in inputs), key=lambda e: (e["source"], e["relative"])),
        "outputs": sorted((dict(entry) for entry in outputs), key=lambda e: e["path"]),
    }


def write(output: str, manifest: Mapping[str, Any]) -> None:
    """Write OUT/manifest.json."""
    with files.atomic(files.join(output, NAME)) as file:
        file.write(orjson.dumps(manifest, option=orjson.OPT_INDENT_2) + b"\n")


def read(output: str) -> dict[str, Any] | None:
    """OUT/manifest.json, or None when there is none. Raises ConfigError when it is not JSON."""
    url = files.join(output, NAME)
    try:
        with files.open_file(url) as file:
            return orjson.loads(file.read())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"{url} is damaged ({error}); delete it and run again", "no-finished-run") from None


@contextmanager
def lock(output: str) -> Iterator[None]:
    """Keeps a second run out of a local output folder while the block runs; the lock dies with its process.

    Remote folders have no locks. Raises ConfigError when another run holds it, naming its process, and for a folder
    that cannot be made or written to.
    """
    if not files.is_local(output) or sys.platform == "win32":
        yield
        return
    import fcntl

    folder = files.local_path(output)
    with _lock_file(folder) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            file.seek(0)
            holder = file.read(100).decode("ascii", "replace") or "unknown"
            raise ConfigError(
                f"another run (process {holder}) is writing to {output}; wait for it or give another --output",
                "output-locked",
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()).encode())
        file.flush()
        yield


def _lock_file(folder: str) -> IO[bytes]:
    """The lock file of a folder, which is made. It stays: were it deleted, two runs could lock two files of one name.

    Raises ConfigError saying what keeps files from being written there.
    """
    above = folder
    while not os.path.lexists(above):
        above = os.path.dirname(above)
    if not os.path.isdir(above):
        raise ConfigError(
            f"output: {above} is a file, not a folder; give another --output or move the file away",
            "output-unwritable",
        )
    try:
        if not os.access(above, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "no permission to write")
        os.makedirs(folder, exist_ok=True)
        return open(os.path.join(folder, ".lock"), "a+b")
    except OSError as error:
        raise ConfigError(
            f"output: cannot write to {folder}: {error.strerror} ({error.filename or above}); give another --output "
            "or let this user write there",
            "output-unwritable",
        ) from None
