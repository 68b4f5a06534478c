"""Every kind of error by a short stable code: what causes it, what to do, and the exit code of the command.

Codes are for programs and for looking up; the message of an error names the file, column, key or value itself.
docs/errors.md has this table, and a test holds the two together.
"""

import errno
from typing import NamedTuple


class Kind(NamedTuple):
    exit: int
    cause: str
    way_out: str


DONE, FAILED, USAGE, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143

KINDS = {
    "usage": Kind(USAGE, "an option, argument or name of a configuration that nobody knows", "see `--help`"),
    "bad-configuration": Kind(
        USAGE,
        "a configuration that cannot be read, an unknown key or a value of the wrong kind",
        "the message names the key and the nearest valid one; configs/full.yaml lists all",
    ),
    "setting": Kind(USAGE, "settings that contradict or need each other", "the message names both; change one"),
    "no-input": Kind(USAGE, "no input was given", "`--input GLOB`, or `inputs` in the configuration"),
    "no-output": Kind(USAGE, "no output was given", "`--output DIR`, or `output` in the configuration"),
    "input-not-found": Kind(
        USAGE,
        "a path that does not exist, a glob without match, a folder without files of a known format",
        "the message names what there is instead; quote globs",
    ),
    "input-ambiguous": Kind(
        USAGE,
        "one file under two inputs, two files with one output name, or a folder with several kinds of data",
        "narrow the glob, or give different sources",
    ),
    "unknown-format": Kind(USAGE, "a file whose extension is unknown", "rename it; docs/formats.md lists the formats"),
    "not-readable": Kind(USAGE, "a file or folder that this user may not read", "change permissions, or leave it out"),
    "bad-name": Kind(USAGE, "a file name that is too long or not UTF-8", "rename the file"),
    "missing-column": Kind(
        USAGE,
        "a column that a file does not have",
        "the message names the nearest; set `columns`, or `columns` of that input",
    ),
    "wrong-column-type": Kind(
        USAGE, "a column of the wrong type, such as text in bytes", "write the column again, or name another one"
    ),
    "bad-training-data": Kind(
        USAGE,
        "labelled documents that `train-detector` cannot learn from",
        "the message names the file, column or record; the label is 0 human, 1 synthetic",
    ),
    "column-taken": Kind(
        USAGE, "an input column with the name of one that would be added", "set `columns.prefix`, or rename the column"
    ),
    "output-conflict": Kind(
        USAGE,
        "an output folder that holds a run over other inputs, is an input, or would be read as one",
        "give another `--output`, or delete that folder",
    ),
    "output-locked": Kind(USAGE, "another run is writing to the output folder", "wait for it, or give another one"),
    "output-unwritable": Kind(USAGE, "an output folder that cannot be written to", "give another one"),
    "does-not-fit": Kind(
        USAGE,
        "`plan --check` found too little disk or memory",
        "free space, or lower what the message names",
    ),
    "missing-package": Kind(USAGE, "a package of an extra is not installed", "the message has the `pip install` line"),
    "no-finished-run": Kind(
        USAGE, "a folder without a run, or with one that was stopped", "run the same command again to complete it"
    ),
    "nothing-found": Kind(
        FAILED, "`inspect` found no such document", "the message names the nearest reason or shard of the run"
    ),
    "bad-reference": Kind(
        USAGE, "a reference profile that is missing, damaged or of another release", "`curation reference build`"
    ),
    "bad-model": Kind(
        USAGE, "a detector that is missing, damaged or of another release", "`curation train-detector`"
    ),
    "nothing-readable": Kind(
        FAILED, "every record of the input was quarantined", "`curation inspect OUT --reason quarantine` says why"
    ),
    "input-changed": Kind(
        FAILED, "an input file was replaced, grew or went away while the job read it", "run the same command again"
    ),
    "records-lost": Kind(FAILED, "read is not kept + excluded + quarantined", "a defect of curation: report it"),
    "requirement-missed": Kind(FAILED, "the mix does not reach what `require` asks for", "see docs/mixing.md"),
    "floor-missed": Kind(FAILED, "less of a source was kept than `select.floors` asks for", "see docs/mixing.md"),
    "disk-full": Kind(FAILED, "no space is left where the output or temporary files go", "free space, run again"),
    "io-error": Kind(FAILED, "the operating system or object store failed", "run the same command again"),
    "failed": Kind(FAILED, "anything else that the message tells", "run again; report it if it stays"),
    "interrupted": Kind(INTERRUPTED, "Ctrl-C (SIGINT)", "the same command goes on where the run stopped"),
    "terminated": Kind(TERMINATED, "SIGTERM", "the same command goes on where the run stopped"),
}


class ConfigError(ValueError):
    """The configuration cannot be used; the message names the key, the value and the way out, `code` the kind."""

    def __init__(self, message: str, code: str = "setting") -> None:
        super().__init__(message)
        self.code = code

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (str(self), self.code)


class InputChanged(RuntimeError):
    """An input is not what it was when the job began."""

    code = "input-changed"


class NothingFound(ValueError):
    """A run has no document of the kind asked for."""

    code = "nothing-found"


class RecordsLost(ValueError):
    """The records read are not those written."""

    code = "records-lost"


class Unreadable(ValueError):
    """Not one record of the input could be read."""

    code = "nothing-readable"


class Terminated(KeyboardInterrupt):
    """SIGTERM was received."""


def code_of(error: BaseException) -> str:
    """The code of any exception, a key of KINDS."""
    if isinstance(error, Terminated):
        return "terminated"
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    code = getattr(error, "code", None)
    if code in KINDS:
        return str(code)
    if isinstance(error, OSError):
        return "disk-full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "io-error"
    return "failed"


def exit_code(error: BaseException) -> int:
    """The exit code of the command that ends with this exception."""
    return KINDS[code_of(error)].exit
