"""`curation train-detector`: labelled files in, a model and its table of left-out sources out."""

import sys
import time
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from curation import io, synthetic
from curation.config import ConfigError, Input
from curation.io.quarantine import BadRecord
from curation.synthetic import documents, fasttext, tables, training
from curation.synthetic.documents import BadTrainingData
from curation.synthetic.evaluation import HeldOut

BACKENDS = ("hashed", "fasttext")
COLUMNS = ("text", "label", "source", "domain", "cluster", "fold", "variant", "trained")
_TYPES = {
    "label": (pa.float64(), "labels are numbers: 0 human, 1 synthetic"),
    "trained": (pa.bool_(), "it takes true or false"),
}
_BATCH_BYTES = 16 << 20


def train_detector(data: Sequence[str], output: str, backend: str = "hashed") -> HeldOut:
    """Train a detector on labelled Parquet or JSON lines, write it to `output` and print what left-out sources say.

    Columns `text` and `label` (0 human, 1 synthetic), and `source`, `domain`, `cluster`, `fold`, `variant` and
    `trained` where there are (see `synthetic.training.train`). backend `hashed` writes a model for `detect.model`,
    `fasttext` a .bin or .ftz file for `filters`. Raises ConfigError for files that are not there, ValueError for data
    that cannot train.
    """
    if backend not in BACKENDS:
        raise ConfigError(f"--backend is {' or '.join(BACKENDS)}, not {backend!r}")
    began = time.monotonic()
    table = read(data)
    if backend == "fasttext":
        held_out = fasttext.train(table, output)
    else:
        model, held_out = training.train(table, _provenance(table))
        synthetic.save_model(output, model)
    print("\n".join([*tables.separations(held_out), *tables.variants(held_out), *tables.false_positives(held_out)]))
    names = set(held_out.fold.tolist())
    if all(name.startswith("random-") for name in names):
        print("\none source only: measured on random quarters of it, which flatters", file=sys.stderr)
    short = table.num_rows - len(held_out.label)
    if short:
        print(f"\n{short:,} documents of fewer than {documents.LEAST_WORDS} words were left out", file=sys.stderr)
    print(f"\n{output}: {len(held_out.label):,} documents, {time.monotonic() - began:.0f} s")
    return held_out


def read(data: Sequence[str]) -> pa.Table:
    """The training columns of all files; the others are not kept. Raises ValueError at a record that cannot be read."""
    parts = []
    for path in data:
        for shard in io.expand([Input(path=path)]):
            schema = io.final_schema(shard, text="text")
            if "text" not in schema.names or "label" not in schema.names:
                raise ConfigError(
                    f"{shard.url} needs columns text and label (0 human, 1 synthetic); it has "
                    + ", ".join(schema.names),
                    "missing-column",
                )
            wanted = [name for name in COLUMNS if name in schema.names]
            bad: list[BadRecord] = []
            for batch, _ in io.read_shard(
                shard, text="text", batch_bytes=_BATCH_BYTES, schema=schema, columns=wanted, on_bad=bad.append
            ):
                _refuse(bad, shard.url)
                parts.append(_plain(batch, shard.url))
            _refuse(bad, shard.url)
    if not parts:
        raise BadTrainingData(f"no record in {', '.join(data)}")
    return pa.concat_tables(parts, promote_options="default").select(
        [name for name in COLUMNS if any(name in part.column_names for part in parts)]
    )


def _refuse(bad: list[BadRecord], url: str) -> None:
    if bad:
        why = f"{bad[0].error}: {bad[0].message}"
        raise BadTrainingData(f"{url}: record {bad[0].row} cannot be read ({why}); mend or remove it")


def _plain(batch: pa.RecordBatch, url: str) -> pa.Table:
    """The batch as a table of plain strings, labels as numbers and `trained` as booleans."""
    columns = {}
    for name in batch.schema.names:
        values = batch.column(name)
        if pa.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        kind, wanted = _TYPES.get(name, (pa.large_string(), "it takes text"))
        try:
            columns[name] = values.cast(kind)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise BadTrainingData(f"{url}: column {name!r} holds {values.type}; {wanted}") from None
    return pa.table(columns)


def _provenance(table: pa.Table) -> list[dict[str, object]]:
    for name, counted in (("variant", [None, ""]), ("trained", [None, True])):
        if name in table.column_names:
            table = table.filter(pc.is_in(table[name], pa.array(counted, table[name].type)))
    names = table["source"] if "source" in table.column_names else pa.array(["default"] * table.num_rows)
    flat = pa.table({"source": names, "label": table["label"]})
    rows = flat.group_by("source").aggregate([("label", "count"), ("label", "sum")]).sort_by("source").to_pylist()
    counts = [(row["source"], row["label_count"], int(row["label_sum"] or 0)) for row in rows]
    return [{"source": name, "human": count - ones, "synthetic": ones} for name, count, ones in counts]
