"""A few documents in one Parquet file, for tests of the command line."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

DOCUMENTS = 40


def write(folder: Path, copies: int = 1) -> str:
    """Write `copies` times DOCUMENTS documents and return the path of the file."""
    texts = [
        f"Document {i} tells how the {i % 7} bridges over river {i * 31 % 97} were built, in {i + 3} steps. " * 3
        for i in range(DOCUMENTS * copies)
    ]
    path = folder / "data.parquet"
    pq.write_table(pa.table({"id": [f"d{i}" for i in range(len(texts))], "text": texts}), path)
    return str(path)
