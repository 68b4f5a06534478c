"""The table of candidates, gathered from one batch of signals after another in as few bytes as it takes."""

import numpy as np
import pyarrow as pa

from curation.dedup.shuffle import fixed_bytes

_PACKED = ("bands", "signature")  # most of a candidate's bytes: written in place, so that nothing has to join them
_FEW = ("source", "trust", "label")  # columns of few different values


class Gathered:
    """Candidates added batch by batch; `table` is what `cluster` takes."""

    def __init__(self, most: int) -> None:
        """most: no more candidates than this will come."""
        self._most, self._count = most, 0
        self._parts: list[pa.RecordBatch] = []
        self._packed: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def add(self, batch: pa.RecordBatch) -> None:
        """Take some candidates; all batches have one schema. Raises ValueError for more candidates than announced."""
        end = self._count + batch.num_rows
        if end > self._most:
            raise ValueError(f"{end} candidates where at most {self._most} were to come")
        for name in _PACKED:
            if name in batch.schema.names:
                column = batch.column(name)
                if name not in self._packed:
                    room = np.zeros((self._most, column.type.byte_width), np.uint8)
                    self._packed[name] = room, np.zeros(self._most, bool)
                values, valid = self._packed[name]
                values[self._count : end] = fixed_bytes(column)
                valid[self._count : end] = np.asarray(column.is_valid())
                batch = batch.drop_columns([name])
        for name in _FEW:
            column = batch.column(name)
            if not pa.types.is_dictionary(column.type):
                at = batch.schema.get_field_index(name)
                batch = batch.set_column(at, name, column.dictionary_encode())
        self._parts.append(batch)
        self._count = end

    def table(self) -> pa.Table | None:
        """All that was added; None when nothing was."""
        if not self._parts:
            return None
        table = pa.Table.from_batches(self._parts)
        for name, (values, valid) in self._packed.items():
            table = table.append_column(name, fixed_binary(values[: self._count], valid[: self._count]))
        return table


def fixed_binary(data: np.ndarray, valid: np.ndarray | None = None) -> pa.Array:
    """uint8[rows, width] as a fixed-size binary column, null where `valid` (bool[rows]) is False."""
    width = data.shape[1]
    mask = None if valid is None else pa.py_buffer(np.packbits(valid, bitorder="little"))
    values = pa.py_buffer(np.ascontiguousarray(data))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(data), [mask, values])
