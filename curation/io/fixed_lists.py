"""Parquet with lists of fixed size of which some are null, as an embedding that some documents lack.

Arrow writes them and cannot read them back: it takes a null for a list of the wrong size and refuses the row group.
What makes it expect a size is the Arrow schema that a writer leaves among the metadata of the footer. Without that
schema they are lists of any size, which can be read, nulls too, and are then cast to what they were.
"""

import io
from collections.abc import Iterator
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

_MARK = b"PAR1"
_ARROW_SCHEMA = b"ARROW:schema"


def names_of(schema: pa.Schema, columns: list[str] | None) -> list[str]:
    """The columns, of those to read (None: all), that hold lists of fixed size at any depth."""
    return [f.name for f in schema if (columns is None or f.name in columns) and _holds_fixed(f.type)]


def _holds_fixed(kind: pa.DataType) -> bool:
    if pa.types.is_fixed_size_list(kind):
        return True
    return any(_holds_fixed(kind.field(i).type) for i in range(kind.num_fields))


def batches(
    parquet: pq.ParquetFile, file: IO[bytes], group: int, columns: list[str] | None, rows: int
) -> Iterator[pa.RecordBatch]:
    """The batches of a row group as `parquet` would give them, were it able to, of at most `rows` rows.

    Moves the position of `file`. Raises pa.ArrowException where they cannot be read this way either.
    """
    schema = parquet.schema_arrow
    wanted = schema.names if columns is None else columns
    fixed = names_of(schema, columns)
    loose = pq.ParquetFile(file, metadata=_without_sizes(file), page_checksum_verification=True)
    others = [name for name in wanted if name not in fixed]
    streams = [
        source.iter_batches(batch_size=rows, row_groups=[group], columns=names, use_threads=False)
        for source, names in ((loose, fixed), (parquet, others))
        if names
    ]
    target = pa.schema([schema.field(name) for name in wanted], schema.metadata)
    for parts in _aligned(streams):
        found = {name: column for part in parts for name, column in zip(part.schema.names, part.columns, strict=True)}
        columns_now = [found[name].cast(target.field(name).type) if name in fixed else found[name] for name in wanted]
        yield pa.RecordBatch.from_arrays(columns_now, schema=target)


def _aligned(streams: list[Iterator[pa.RecordBatch]]) -> Iterator[list[pa.RecordBatch]]:
    """Batches of several streams over the same rows, cut so that those yielded together are equally long."""
    held = [pa.RecordBatch.from_pylist([])] * len(streams)
    while True:
        for i, stream in enumerate(streams):
            while not held[i].num_rows:
                batch = next(stream, None)
                if batch is None:
                    return
                held[i] = batch
        rows = min(batch.num_rows for batch in held)
        yield [batch.slice(0, rows) for batch in held]
        held = [batch.slice(rows) for batch in held]


def _without_sizes(file: IO[bytes]) -> pq.FileMetaData:
    """The footer of a file without the schema that says what its lists were in Arrow."""
    file.seek(-8, io.SEEK_END)
    length = int.from_bytes(file.read(4), "little")
    file.seek(-8 - length, io.SEEK_END)
    footer = file.read(length + 8)
    # another key of the same length leaves every offset as it is
    return pq.read_metadata(io.BytesIO(_MARK + footer.replace(_ARROW_SCHEMA, b"-" * len(_ARROW_SCHEMA))))
