"""After the last phase: check that every record is accounted for, and write the report and the manifest."""

import math
from collections import Counter
from typing import Any

import numpy as np
import orjson
import pyarrow.parquet as pq

from curation import io
from curation.dedup.shuffle import ROW_BITS
from curation.jobs import (
    benchmarks,
    earlier_outputs,
    guarantees,
    hosts,
    lines,
    measured,
    resolve,
    select,
    stages,
    tables,
)
from curation.jobs import weights as weighing
from curation.plan import Job, Shard
from curation.synthetic.calibration import BASES
from curation.synthetic.evaluation import LENGTHS

MUCH_REMOVED = 0.5  # share of a source that leaves as duplicates, above which a run says so loudly


def summarise(job: Job, run_stages: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Write report/report.json, report/report.html and manifest.json; return the report.

    Raises ValueError when read != kept + excluded + quarantined.
    """
    output = job.config.output
    counts = stages.read_json(f"{output}/decisions/select.json")
    clusters = stages.read_json(f"{output}/decisions/clusters.json")
    weights = stages.read_json(f"{output}/decisions/weights.json")
    documents = _documents(job, counts, weights)
    diversity = measured.section(job)
    report: dict[str, Any] = {
        "documents": documents,
        "duplicates": _duplicates(job, clusters, counts),
        "contamination": _contamination(job, counts),
        "synthetic": _synthetic(job, weights, counts),
        "diversity": diversity,
        "variance": _variance(job, weights, diversity.get("reference_reason")),
        "mixing": guarantees.section(job, weights, documents, counts),
        "run": {
            "name": f"{output}",
            "output": output,
            "hashes": dict(job.hashes),
            "versions": io.versions(),
            "stages": run_stages,
            "warnings": _warnings(job, clusters, documents, counts),
        },
    }
    manifest = io.build_manifest(
        job.config,
        hashes=job.hashes,
        inputs=[io.input_entry(shard, c["read"]) for shard, c in zip(job.shards, counts, strict=True)],
        outputs=[
            io.output_entry(output, path, c[folder])
            for shard, c in zip(job.shards, counts, strict=True)
            for folder, path in select.outputs(job, shard).items()
        ],
        documents={key: documents[key] for key in ("read", "kept", "excluded", "quarantined", "by_reason")},
        stages={n: {"documents": s["documents"], "megabytes": round(s["megabytes"], 6)} for n, s in run_stages.items()},
    )
    stages.write_json(f"{output}/report/report.json", report)
    write_html(output, report)
    earlier_outputs.clear(output, manifest)
    io.write_manifest(output, manifest)
    return report


def _variance(job: Job, weights: dict[str, Any], foreign: str | None) -> dict[str, Any]:
    """Variance beside that of the reference, or why it was not compared."""
    if job.config.reference is None:
        why = "variance is compared with that of a reference, and none was given (reference: PROFILE or default)"
    elif not job.config.signals.features:
        why = "variance was not compared: that takes the features of documents (signals.features: true)"
    elif foreign:
        why = f"variance was not compared: {foreign}"
    else:
        why = "variance was not compared: there is no document to compare"
    found = weights["mix"].get("variance")
    return found if found and not foreign else {"reason": why}


def write_html(output: str, report: dict[str, Any]) -> None:
    """Write report.html from the numbers in report.json, and beside it the statistics and their drawings as files."""
    from curation.report import render

    plain = orjson.loads(orjson.dumps(report, option=orjson.OPT_SERIALIZE_NUMPY))
    with io.atomic(f"{output}/report/report.html") as file:
        file.write(render(plain).encode("utf-8"))
    tables.write(output, plain)


def _documents(job: Job, counts: list[dict[str, Any]], weights: dict[str, Any]) -> dict[str, Any]:
    by_source: dict[str, dict[str, Any]] = {}
    for shard, found in zip(job.shards, counts, strict=True):
        for name, mine in found["sources"].items():
            entry = by_source.setdefault(name, _no_documents(shard))
            for key in ("read", "kept", "bytes", "bytes_kept"):
                entry[key] += mine[key]
            entry["excluded"] += mine["read"] - mine["kept"]
            entry["by_reason"] = dict(sorted((Counter(entry["by_reason"]) + Counter(mine["by_reason"])).items()))
        if found["quarantined"]:
            # what cannot be read has no source of its own
            entry = by_source.setdefault(shard.source, _no_documents(shard))
            entry["read"] += found["quarantined"]
            entry["quarantined"] += found["quarantined"]
    keys = ("read", "kept", "excluded", "quarantined")
    shown = ("shard", *keys, "bytes", "bytes_kept")
    return {
        **{key: sum(found[key] for found in counts) for key in keys},
        "by_reason": dict(sorted(sum((Counter(found["by_reason"]) for found in counts), Counter()).items())),
        "by_source": dict(sorted(by_source.items())),
        "by_shard": [
            {key: found[key] for key in (*shown, "by_reason")}
            | {"source": shard.source, "weight": _mean_weight(job, shard, weights["final"])}
            for shard, found in zip(job.shards, counts, strict=True)
        ],
    }


def _mean_weight(job: Job, shard: Shard, final: dict[str, Any]) -> float | None:
    """Mean weight of what is kept of a shard before a selection, 1 being that of all; None where nothing is kept."""
    with io.open_file(stages.decisions_path(job, "weights", shard), "rb") as file:
        table = pq.read_table(file, columns=["weight", "balanced", "filter_reason"])
    raw = table.column("weight").to_numpy()
    balanced = table.column("balanced").to_numpy()
    found = weighing.final(raw, balanced, final["free"], final["top"], final["scale"])
    # a duplicate that stays under dedup.action keep has a reason and a weight
    found = found[table.column("filter_reason").is_null().to_numpy() | (raw > 0)]
    if not len(found):
        return None
    return float(np.rint(found * (1 << 20)).astype(np.int64).sum()) / (1 << 20) / len(found)


def _no_documents(shard: Shard) -> dict[str, Any]:
    zero = dict.fromkeys(("read", "kept", "excluded", "quarantined", "bytes", "bytes_kept"), 0)
    return {**zero, "trust": shard.trust, "by_reason": {}}


def _duplicates(job: Job, clusters: dict[str, Any], counts: list[dict[str, Any]]) -> dict[str, Any]:
    if not job.config.dedup.enabled:
        return {"reason": "duplicates were not looked for (dedup.enabled: false)"}
    texts = {
        (shard.index << ROW_BITS) | int(row): text
        for shard, found in zip(job.shards, counts, strict=True)
        for row, text in found["examples"].items()
    }
    keys = ("clusters", "removed", "by_source", "by_reason", "similarity", "curves", "against", "split_buckets")

    def member(row: Any) -> dict[str, Any]:
        return row if isinstance(row, dict) else texts[row]

    return {
        **{key: clusters[key] for key in keys},
        "action": job.config.dedup.action,
        "examples": [
            {**e, "survivor": member(e["survivor"]), "duplicate": texts[e["duplicate"]]} for e in clusters["examples"]
        ],
        "largest": [{**c, "survivor": member(c["survivor"])} for c in clusters["largest"]],
        "lines": lines.summary(job),
    }


def _contamination(job: Job, counts: list[dict[str, Any]]) -> dict[str, Any]:
    """Documents that share a run of words with benchmark text, by benchmark file, with an example of each."""
    settings = job.config.decontaminate
    if not settings.paths:
        return {"reason": "documents were not compared with benchmarks (decontaminate.paths)"}
    index = benchmarks.load(settings)
    found: dict[str, dict[str, Any]] = {}
    for shard in counts:
        for name, entry in sorted(shard["contaminated"].items()):
            mine = found.setdefault(name, {"documents": 0, "example": entry["example"]})
            mine["documents"] += entry["documents"]
    return {
        "action": settings.action,
        "ngram": settings.ngram,
        "overlap": settings.overlap,
        "benchmarks": len(index.names),
        "too_short": index.short,
        "documents": sum(entry["documents"] for entry in found.values()),
        "by_benchmark": dict(sorted(found.items())),
    }


def _synthetic(job: Job, weights: dict[str, Any], counts: list[dict[str, Any]]) -> dict[str, Any]:
    found = weights["synthetic"]
    if not job.config.detect.enabled or found is None:
        return {"reason": "documents were not scored (detect.enabled: false)"}
    undetermined = sum((Counter(c["undetermined"]) for c in counts), Counter())
    total = found["total"]
    strata = _strata(job)
    ends = dict(zip(LENGTHS, (*LENGTHS[1:], math.inf), strict=True))
    pooled = [s for s in strata if s["source"] is None and s["threshold"] is not None]
    pooled = [s for s in pooled if ends[s["words"]] > job.config.detect.label_words]
    # one line stands for all lengths that are labelled: that of the length which most of the known human text has
    drawn = max(pooled, key=lambda stratum: (stratum["anchors"], stratum["words"]), default=None)
    return {
        "scored": sum(sum(heights) for heights in found["histogram"]["counts"].values()),
        "min_words": job.config.detect.min_words,
        "covered": round(total["scored"]),
        "threshold": drawn["threshold"] if drawn else None,
        "threshold_words": drawn["words"] if drawn else None,
        "strata": strata,
        "undetermined": dict(sorted(undetermined.items())),
        "labels": dict(sorted(sum((Counter(c["labels"]) for c in counts), Counter()).items())),
        "prevalence": total,
        # without weights it would be the share before, found another way
        "prevalence_after": found["after"]
        if weights["mode"] != "none" or weights["weighs_clusters"] or job.config.mix.multipliers
        else {"estimate": None, "reason": "documents were not weighed"},
        "second_score": found["second"],
        "by_shard": found["by_shard"],
        "by_source": found["by_source"],
        "by_host": (hosts.summary(job) or {"hosts": {}})["hosts"],
        "histogram": found["histogram"],
        "fpr": job.config.detect.fpr,
        "anchors": found["anchors"],
        "warnings": found["warnings"],
        "notes": [
            "the share after weighing is the share before, moved by what the weights did to documents of each p: "
            "it inherits the error of the share before"
        ],
    }


def _strata(job: Job) -> list[dict[str, Any]]:
    """The thresholds of the synthetic label at detect.fpr, those of all other sources first."""
    stored = stages.read_json(f"{job.config.output}/decisions/calibration.json")
    if stored is None:
        return []
    sources = stored["sources"]
    return [
        {
            "source": sources[row] if row < len(sources) else None,
            "words": words,
            "anchors": stored["anchors"][0][row][at],
            "threshold": stored["threshold"][0][row][at][0],
            "basis": BASES[stored["basis"][0][row][at]],
        }
        for row in (len(sources), *range(len(sources)))
        for at, words in enumerate(LENGTHS)
        if row == len(sources) or BASES[stored["basis"][0][row][at]] == "stratum"
    ]


def _warnings(
    job: Job, clusters: dict[str, Any], documents: dict[str, Any], counts: list[dict[str, Any]]
) -> list[str]:
    found = []
    ids = stages.read_json(f"{job.config.output}/{resolve.UNMATCHED}") if job.config.exclude_ids else None
    if ids is not None and ids["unmatched"]:
        named = ", ".join(map(repr, ids["first"])) + (", ..." if ids["unmatched"] > len(ids["first"]) else "")
        found.append(f"{ids['unmatched']:,} of {ids['ids']:,} ids in exclude_ids are the id of no document: {named}")
    for item in sorted({item.step for item in job.config.steps}):
        failed = [shard["failures"][item] for shard in counts if item in shard["failures"]]
        if failed:
            found.append(
                f"{item} failed on {sum(entry['documents'] for entry in failed):,} documents, which stay as they were; "
                f"the first error: {failed[0]['first']}"
            )
    for source, removed in clusters["by_source"].items():
        read = documents["by_source"].get(source, {}).get("read", 0)
        if removed > MUCH_REMOVED * read and job.config.dedup.action == "remove":
            found.append(
                f"DUPLICATES ARE {removed / read:.0%} OF SOURCE {source!r} ({removed:,} of {read:,} documents): look "
                "at the examples; select.floors with select.on_floor fail stops a run that loses too much"
            )
    if clusters["without_keep_key"]:
        found.append(
            f"{clusters['without_keep_key']:,} of {clusters['candidates']:,} candidates have no value in the column "
            f"that dedup.keep {job.config.dedup.keep} names; another document of their cluster is kept before them"
        )
    if clusters["repeated_ids"]:
        found.append(
            f"{clusters['repeated_ids']:,} documents have an id that another has too; they are known as id#rowhash"
        )
    if clusters["split_buckets"]:
        found.append(f"{clusters['split_buckets']:,} buckets of many documents that share a template were split")
    return found
