"""Files by local path or fsspec URL: what exists, which version, and files that appear whole or not at
all.
"""

import errno
import os
import re
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem

from curation.config import ConfigError
from curation.io.remote import PatientFile, patiently

#: filesystems on which one upload appears whole under its final name, and a rename would be a second copy
ONE_PUT = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss", "r2", "memory"})


#: the package that a protocol needs and our extra that installs it
PACKAGES = {"s3": ("s3fs", "s3"), "s3a": ("s3fs", "s3"), "gs": ("gcsfs", "gcp"), "gcs": ("gcsfs", "gcp")}

FULL = (errno.ENOSPC, errno.EDQUOT)
TEMPORARY = ".tmp-"  # names of files that are not finished begin with it


class Found(NamedTuple):
    """A file of a listing; `relative` is its path below the folder that was listed."""

    url: str
    relative: str
    size: int
    version: str


def filesystem(url: str) -> tuple[Any, str]:
    """The fsspec filesystem of a URL and the path on it. What has no `scheme://` is a local path, whatever
    is in it.

    Raises ConfigError for a protocol that nobody knows or whose package is not installed, naming it.
    """
    if "://" not in url:
        return LocalFileSystem(), local_path(url)
    try:
        fs, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        protocol = url.partition("://")[0]
        package, extra = PACKAGES.get(protocol, ("", ""))
        way_out = f"needs {package}: pip install 'curation[{extra}]'" if extra else f"needs another package: {error}"
        raise ConfigError(f"reading {protocol}:// {way_out}", "missing-package") from None
    except ValueError as error:
        protocol = url.partition("://")[0]
        if protocol in fsspec.available_protocols():
            raise
        raise ConfigError(f"{url}: {error}; no filesystem is called {protocol!r}", "input-not-found") from None
    return fs, path


def is_local(url: str) -> bool:
    return "://" not in url or url.startswith(("file://", "local://"))


def local_path(url: str) -> str:
    """The absolute path of a local path or file:// URL, links not resolved. Raises ValueError for another
    URL.
    """
    if not is_local(url):
        raise ValueError(f"{url} is not a local path")
    plain = re.sub(r"^(file|local)://", "", url)
    return os.path.abspath(os.path.expanduser(plain) if plain.startswith("~/") else plain)


def join(root: str, relative: str) -> str:
    """root/relative, with one slash between."""
    return f"{root.rstrip('/')}/{relative}" if root.rstrip("/") or not root else f"{root}{relative}"


def safe_join(root: str, relative: str) -> str:
    """root/relative where relative cannot leave root: not absolute, no `..`, no link on the way that leads
    outside.

    Raises ValueError naming the path otherwise.
    """
    parts = relative.split("/")
    if not relative or "\0" in relative or any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"{relative!r} is not a plain path below {root}")
    if is_local(root):
        top = os.path.realpath(local_path(root))
        target = os.path.realpath(os.path.join(top, relative))
        if os.path.commonpath([top, target]) != top:
            raise ValueError(f"{relative!r} leads out of {root} through a link")
    return join(root, relative)


def open_file(url: str, mode: str = "rb") -> IO[bytes]:
    """A file opened in binary. Use `atomic` to write. Raises FileNotFoundError when it does not exist.

    Reading from an object store goes on after a connection breaks; see `remote`.
    """
    fs, path = filesystem(url)
    if is_local(url) or mode != "rb":
        return cast("IO[bytes]", fs.open(path, mode))
    return cast("IO[bytes]", PatientFile(url, lambda: fs.open(path, mode)))


def exists(url: str) -> bool:
    """Is there a file or folder of this name?"""
    fs, path = filesystem(url)
    return bool(patiently(f"looking for {url}", lambda: fs.exists(path)))


def is_folder(url: str) -> bool:
    fs, path = filesystem(url)
    return bool(patiently(f"looking for {url}", lambda: fs.isdir(path)))


def size(url: str) -> int:
    """Bytes of a file. Raises FileNotFoundError."""
    fs, path = filesystem(url)
    if is_local(url):
        return int(fs.size(path))
    return int(patiently(f"looking at {url}", lambda: fs.size(path)))


def version(url: str) -> str:
    """What changes when a file is replaced: etag, else modification time. Raises FileNotFoundError."""
    fs, path = filesystem(url)
    if is_local(url):
        return str(os.stat(path).st_mtime_ns)
    fs.invalidate_cache(path.rpartition("/")[0])  # somebody else may have written
    return _version(patiently(f"looking at {url}", lambda: fs.info(path)))


def _version(info: dict[str, Any]) -> str:
    for key in (
        "etag",
        "ETag",
        "md5Hash",
        "content_md5",
        "generation",
        "mtime",
        "LastModified",
        "last_modified",
        "updated",
        "created",
    ):
        if info.get(key):
            value = info[key]
            return str(value.timestamp() if hasattr(value, "timestamp") else value)
    return ""


def list_files(folder: str, depth: int | None = None) -> list[Found]:
    """Every file below a folder, hidden ones left out, in order of `relative`; links are followed, loops
    once.

    depth: levels to descend, 1 for the folder's own files. An absent folder has no files. Raises PermissionError
    naming a local folder that may not be listed.
    """
    found = list(_list_local(folder, depth) if is_local(folder) else _list_remote(folder, depth))
    return sorted((f for f in found if not _hidden(f.relative)), key=lambda f: f.relative)


def _hidden(relative: str) -> bool:
    return any(part.startswith(".") for part in relative.split("/"))


def _list_local(folder: str, depth: int | None) -> Iterator[Found]:
    top = local_path(folder)
    seen = {os.path.realpath(top)}
    for where, folders, names in os.walk(top, followlinks=True, onerror=_forbidden):
        below = os.path.relpath(where, top)
        level = 0 if below == "." else below.count("/") + 1
        keep = []
        for name in sorted(folders) if depth is None or level + 1 < depth else ():
            real = os.path.realpath(os.path.join(where, name))
            if real not in seen and not _hidden(name):
                seen.add(real)
                keep.append(name)
        folders[:] = keep
        for name in names:
            path = os.path.join(where, name)
            try:
                status = os.stat(path)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ELOOP):  # a dangling link, or one to itself
                    continue
                raise
            yield Found(path, name if below == "." else f"{below}/{name}", status.st_size, str(status.st_mtime_ns))


def _forbidden(error: OSError) -> None:
    if isinstance(error, PermissionError):  # else files below it would be missing in silence
        raise error


def _list_remote(folder: str, depth: int | None) -> Iterator[Found]:
    fs, top = filesystem(folder)
    top = top.rstrip("/")
    with suppress(FileNotFoundError):
        fs.invalidate_cache(top)
        listed = patiently(f"listing {folder}", lambda: fs.find(top, maxdepth=depth, detail=True))
        for path, info in listed.items():
            relative = path[len(top) :].lstrip("/")
            yield Found(fs.unstrip_protocol(path), relative, int(info.get("size") or 0), _version(info))


def delete(url: str) -> None:
    """Delete a file, if it is there."""
    fs, path = filesystem(url)
    with suppress(FileNotFoundError):
        if is_local(url):
            fs.rm_file(path)
        else:
            patiently(f"deleting {url}", lambda: fs.rm_file(path))


def remove_abandoned(folder: str) -> None:
    """Delete what `atomic` left below a local folder when its process was killed; only for the holder of its lock."""
    if is_local(folder):
        for here, _, names in os.walk(local_path(folder)):
            for name in names:
                if name.startswith(TEMPORARY):
                    os.unlink(os.path.join(here, name))


@contextmanager
def atomic(url: str) -> Iterator[IO[bytes]]:
    """A binary file that appears under its name when the block ends well, and not at all otherwise.

    Locally: a hidden name of this attempt in the same folder, renamed at the end. Elsewhere: collected on
    local disk, then one upload (with a rename where uploads are visible before they are complete). Two
    attempts never mix.
    """
    fs, path = filesystem(url)
    folder = path.rpartition("/")[0]
    if folder:
        fs.makedirs(folder, exist_ok=True)
    temporary = f"{folder}/{TEMPORARY}{uuid.uuid4().hex}"
    if is_local(url):
        try:
            with open(temporary, "xb") as file:
                yield file
            os.replace(temporary, path)
        except OSError as error:
            if error.errno not in FULL:
                raise
            way_out = f"{error.strerror}; make room there and run the same command again, finished files stay"
            raise OSError(error.errno, way_out, path) from None
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
        return
    handle, spool = tempfile.mkstemp(prefix="curation-")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        protocols = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
        if protocols & ONE_PUT:
            patiently(f"writing {url}", lambda: fs.put_file(spool, path))
        else:
            try:
                patiently(f"writing {url}", lambda: fs.put_file(spool, temporary))
                patiently(f"writing {url}", lambda: fs.mv(temporary, path))
            except BaseException:
                with suppress(Exception):
                    fs.rm_file(temporary)
                raise
    finally:
        Path(spool).unlink(missing_ok=True)
