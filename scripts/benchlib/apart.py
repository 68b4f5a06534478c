"""Peers that need another Python or older packages: run by a Python of their own, as processes on files."""

import json
import pickle
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchlib.corpus import uniform
from benchlib.costs import SINGLE_THREAD, fit, rate, run_process
from benchlib.peers import BANDS, ROWS, VERIFY, Result
from benchlib.planted import NGRAM, Planted, assess

SHARES = (0.25, 1.0)

#: dolma's `dedupe` without its command line: the compiled module alone, whose package imports much that it never uses
DOLMA = """
import importlib.util, sys, sysconfig
from pathlib import Path
[module] = Path(sysconfig.get_path("platlib"), "dolma").glob("dolma.*.so")
spec = importlib.util.spec_from_file_location("dolma", module)
dolma = importlib.util.module_from_spec(spec)
spec.loader.exec_module(dolma)
dolma.deduper_entrypoint(sys.argv[1])
"""
FILLED = 580_000  # elements at which dolma's smallest Bloom filter, of 1 MiB, has this share of false positives:
FALSE_POSITIVES = 0.001


def dolma(path: Path, scratch: Path, *, separator: str, min_length: int, elements: int) -> list[str]:
    """Arguments to a Python with dolma that mark the repeated paragraphs of documents/NAME.jsonl (or .jsonl.gz).

    The spans come out beside documents/, in attributes/. The filter's size is a power of two: `elements` is rounded up
    to what fills one, since for fewer dolma takes more hash functions, up to hundreds.
    """
    filled = FILLED
    while filled < elements:
        filled *= 2
    shutil.rmtree(path.parent.parent / "attributes", ignore_errors=True)
    bloom = scratch / "bloom.bin"
    bloom.unlink(missing_ok=True)
    settings = {
        "documents": [str(path)],
        "dedupe": {
            "name": "repeated", "skip_empty": True, "min_length": min_length, "min_words": 0, "num_partitions": 1,
            "partition_index": 0, "file_partition": False, "document_dir": "documents",
            "paragraphs": {"attribute_name": "repeated", "by_ngram": None, "paragraph_separator": separator},
        },
        "bloom_filter": {
            "file": str(bloom), "read_only": False, "size_in_bytes": 0, "estimated_doc_count": filled,
            "desired_false_positive_rate": FALSE_POSITIVES,
        },
        "is_s3_volume": False,
        "work_dir": {"input": str(scratch / "dolma-in"), "output": str(scratch / "dolma-out")},
        "processes": 1,
        "compression": {"input": None, "output": None},
    }  # fmt: skip
    return ["-c", DOLMA, json.dumps(settings)]


def text_dedup(python: str, planted: Planted, folder: Path, repeats: int) -> Result:
    """text-dedup's MinHash from Parquet to what it saves, candidates verified by their true similarity.

    Its rate is marginal, of whole processes on a quarter of the texts and on all. Raises RuntimeError where it fails.
    """
    sizes, costs = [], []
    labels = np.zeros(0, np.int64)
    for share in SHARES:
        texts = [text for text in planted.texts if uniform(text, "size") < share]
        scratch = folder / f"text-dedup-{share:g}"
        scratch.mkdir()
        pq.write_table(pa.table({"text": texts}), scratch / "in.parquet", compression="zstd")
        (scratch / "config.toml").write_text(_toml(scratch))
        spent = []
        for _ in range(repeats):
            for name in ("out", "cache"):
                shutil.rmtree(scratch / name, ignore_errors=True)
            offline = {"HF_HOME": str(scratch / "cache"), "HF_HUB_OFFLINE": "1"}
            command = [python, "-m", "text_dedup.minhash"]
            spent.append(run_process(command, {**SINGLE_THREAD, **offline}, scratch).cpu_seconds)
        clusters = pickle.loads((scratch / "out" / "clusters.pickle").read_bytes())
        shutil.rmtree(scratch)
        sizes.append(sum(len(text.encode()) for text in texts) / 1e6)
        costs.append(min(spent))
        # a cluster is named after its first document; who is in none stands alone
        labels = np.array([clusters.get(n, n) for n in range(len(texts))], np.int64)
    found = rate(fit(sizes, costs))
    return Result("text-dedup, a process", None, found or float("nan"), assess(planted, None, labels))


def _toml(folder: Path) -> str:
    sections: dict[str, Sequence[str]] = {
        "input": [
            'input_type = "local_files"', 'file_type = "parquet"',
            f'read_arguments = {{ path = "parquet", data_files = "{folder / "in.parquet"}", split = "train" }}',
        ],
        "algorithm": [
            'algorithm_name = "minhash"', 'text_column = "text"', "seed = 1", "num_proc = 1", f"bands = {BANDS}",
            f"rows = {ROWS}", f"num_perm = {BANDS * ROWS}", f"ngram_size = {NGRAM}", f"threshold = {VERIFY}",
            # without it, version 0.4.1 removes every document of a cluster
            "check_false_positive = true",
        ],
        "output": [f'output_dir = "{folder / "out"}"', "save_clusters = true"],
        "debug": ["logging_level = 40"],
    }  # fmt: skip
    return "\n\n".join("\n".join([f"[{name}]", *lines]) for name, lines in sections.items()) + "\n"
