"""Patience with object stores: what fails for a moment is tried again, and what stays away stops the run.

A store that cannot be reached says nothing about the data in it, so none of it is quarantined: the run ends, and the
same command goes on later.
"""

import io
import time
from collections.abc import Callable
from typing import IO, Any, TypeVar

T = TypeVar("T")

TRIES = 5
PAUSE = 0.2  # seconds before the second try, doubled each time
#: errors that another try does not change
FINAL = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError)
#: packages whose errors are those of a connection even where they are no OSError
CLIENTS = frozenset(
    ["aiohttp", "aiobotocore", "botocore", "gcsfs", "google", "azure", "adlfs", "requests", "urllib3"]
    + ["httpx", "httpx2", "huggingface_hub"]
)


class Unreachable(RuntimeError):
    """A store did not answer, or refused, however often it was asked."""

    code = "io-error"


def patiently(what: str, act: Callable[[], T]) -> T:
    """act(), tried again after errors of the connection. Raises Unreachable saying `what` when no try went well.

    Refused permission is not tried again, but is no property of the data either, so it raises Unreachable too.
    """
    for attempt in range(TRIES):
        try:
            return act()
        except FINAL:
            raise
        except Exception as error:
            if not _of_the_connection(error):
                raise
            if isinstance(error, PermissionError) or attempt == TRIES - 1:
                tried = "" if isinstance(error, PermissionError) else f" {TRIES} times"
                raise Unreachable(
                    f"{what} failed{tried}: {type(error).__name__}: {error}; the same command goes on where this run "
                    "stopped"
                ) from error
        time.sleep(PAUSE * 2**attempt)
    raise AssertionError("every try returns or raises")


def _of_the_connection(error: Exception) -> bool:
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in CLIENTS


class PatientFile(io.RawIOBase):
    """A file of an object store for reading, opened again at its place when the connection breaks."""

    def __init__(self, url: str, opened: Callable[[], IO[bytes]]) -> None:
        self._url, self._opened = url, opened
        self._file: Any = patiently(f"opening {url}", opened)
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_END:
            self._place = self._patiently(lambda file: file.seek(offset, whence))
        else:
            self._place = offset + (self._place if whence == io.SEEK_CUR else 0)
        return self._place

    def read(self, size: int | None = -1) -> bytes:
        def act(file: IO[bytes]) -> bytes:
            if file.tell() != self._place:
                file.seek(self._place)
            return file.read(-1 if size is None else size)

        data = self._patiently(act)
        self._place += len(data)
        return data

    def _patiently(self, act: Callable[[IO[bytes]], T]) -> T:
        """act on the file, which is opened anew after each failure."""

        def once() -> T:
            if self._file is None:
                self._file = self._opened()
            try:
                return act(self._file)
            except Exception:
                broken, self._file = self._file, None
                broken.close()
                raise

        return patiently(f"reading {self._url}", once)

    def readall(self) -> bytes:
        return self.read()

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        super().close()
