"""How a RecordBatch travels between workers: as an Arrow IPC stream, so that a slice sends its own rows only.

Without a coder Beam pickles the element, and a pickled slice carries the whole buffer that it was cut from.
"""

from typing import Any

import apache_beam as beam
import pyarrow as pa

_OPTIONS = pa.ipc.IpcWriteOptions(use_threads=False)


def encode(batch: pa.RecordBatch) -> bytes:
    """The batch, with its schema and the schema's metadata, as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=_OPTIONS) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def decode(data: bytes) -> pa.RecordBatch:
    """The batch that `encode` wrote; its columns are views of `data`."""
    with pa.ipc.open_stream(data, options=pa.ipc.IpcReadOptions(use_threads=False)) as reader:
        return reader.read_next_batch()


class RecordBatchCoder(beam.coders.Coder):
    """Coder of `pa.RecordBatch`, registered when `curation.beam` is imported.

    Columns of dictionaries and of string views send their dictionary or data buffers whole, also from a slice.
    """

    def encode(self, value: pa.RecordBatch) -> bytes:
        return encode(value)

    def decode(self, encoded: bytes) -> pa.RecordBatch:
        return decode(encoded)

    def is_deterministic(self) -> bool:
        return False  # equal batches may differ in offsets and validity buffers, so none can be a key

    def to_type_hint(self) -> Any:
        return pa.RecordBatch

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self).__qualname__)


beam.coders.registry.register_coder(pa.RecordBatch, RecordBatchCoder)
