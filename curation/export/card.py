"""What stands beside exported shards: a card for people, Croissant metadata for programs, report and configuration."""

import re
from typing import Any

import orjson
import pyarrow as pa
import yaml

from curation import __version__, io
from curation.config import Config
from curation.schema import ADDED, OPTIONAL

SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"),
         (10**8, "10M<n<100M"), (10**9, "100M<n<1B"))  # fmt: skip
CROISSANT = "http://mlcommons.org/croissant/1.0"
MEDIA = {"parquet": "application/vnd.apache.parquet", "zst": "application/zstd"}


def write(
    place: str,
    output: str,
    config: Config,
    manifest: dict[str, Any],
    found: dict[str, Any],
    schema: pa.Schema,
    format: str,
    licence: str | None,
) -> None:
    """Write README.md, croissant.json, configuration.yaml and report.json to the folder of an export."""
    report: dict[str, Any] = {}
    if io.exists(f"{output}/report/report.json"):
        with io.open_file(f"{output}/report/report.json") as file:
            report = orjson.loads(file.read())
    plain = config.model_dump(mode="json", exclude={"output"})
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", output.rstrip("/").rpartition("/")[2]) or "curation-export"
    documents = {
        "README.md": _readme(name, config, manifest, found, schema, report, format, licence).encode(),
        "croissant.json": orjson.dumps(_croissant(name, manifest, found, schema, licence), option=orjson.OPT_INDENT_2),
        "configuration.yaml": yaml.safe_dump(plain, sort_keys=False, allow_unicode=True).encode(),
        "report.json": orjson.dumps(report, option=orjson.OPT_INDENT_2),
    }
    for path, content in documents.items():
        with io.atomic(f"{place}/{path}") as file:
            file.write(content)


def _front_matter(name: str, found: dict[str, Any], format: str, licence: str | None) -> dict[str, Any]:
    size = next((label for most, label in SIZES if found["rows"] < most), "n>1B")
    files = "data/train-*.parquet" if format == "huggingface" else "part-*"
    return {
        **({"license": licence} if licence else {}),
        "pretty_name": name,
        "task_categories": ["text-generation"],
        "size_categories": [size],
        "tags": ["curation", "pretraining"],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": files}]}],
    }


def _readme(
    name: str,
    config: Config,
    manifest: dict[str, Any],
    found: dict[str, Any],
    schema: pa.Schema,
    report: dict[str, Any],
    format: str,
    licence: str | None,
) -> str:
    front = yaml.safe_dump(_front_matter(name, found, format, licence), sort_keys=False, allow_unicode=True)
    counts = manifest["documents"]
    meaning = {config.columns.prefix + c.name: c.meaning for c in (*ADDED, *OPTIONAL)}
    sources = report.get("documents", {}).get("by_source", {})
    lines = [
        f"---\n{front}---\n",
        f"# {_cell(name)}\n",
        f"{found['rows']:,} rows: {counts['kept']:,} of {counts['read']:,} documents, each as often as the mix repeats "
        f"it, in an order shuffled with seed {found['seed']}. Made with curation {__version__} "
        f"(Python {manifest['versions']['python']}, pyarrow {manifest['versions']['pyarrow']}).\n",
        "## What was read and what left\n",
        _table(["", "documents"], [[k, f"{counts[k]:,}"] for k in ("read", "kept", "excluded", "quarantined")]),
    ]
    if counts["by_reason"]:
        lines.append(_table(["excluded as", "documents"], [[r, f"{n:,}"] for r, n in counts["by_reason"].items()]))
    if sources:
        rows = [[s, e["trust"], f"{e['read']:,}", f"{e['kept']:,}"] for s, e in sources.items()]
        lines.append(_table(["source", "declared", "read", "kept"], rows))
    lines += ["## Columns\n", _table(["column", "type", "meaning"], [
        [f.name, str(f.type), meaning.get(f.name, "from the input")] for f in schema
    ])]  # fmt: skip
    statistics = _statistics(report)
    if statistics:
        lines += ["## Statistics of what was kept\n", _table(["statistic", "before", "after"], statistics)]
    prevalence = report.get("synthetic", {}).get("prevalence") or {}
    if prevalence.get("estimate") is not None:
        low, high = prevalence.get("low"), prevalence.get("high")
        between = f", between {low:.1%} and {high:.1%}" if low is not None and high is not None else ""
        lines.append(f"Estimated share of synthetic text in the input: {prevalence['estimate']:.1%}{between}.\n")
    lines.append(
        "`report.json` holds every statistic, `configuration.yaml` every setting, `croissant.json` the description for "
        "programs with checksums of the files."
        + ("" if licence else " No licence is declared here: it is that of the sources.")
        + "\n"
    )
    return "\n".join(lines)


def _statistics(report: dict[str, Any]) -> list[list[str]]:
    before = report.get("diversity", {}).get("before", {}).get("total") or {}
    after = report.get("diversity", {}).get("after", {}).get("total") or {}
    rows = []
    for key in sorted(before):
        pair = [side.get(key, {}).get("value") if isinstance(side.get(key), dict) else None for side in (before, after)]
        if all(isinstance(value, int | float) for value in pair):
            rows.append([key.replace("_", " "), *(f"{value:.4g}" for value in pair)])
    return rows


def _table(head: list[str], rows: list[list[str]]) -> str:
    body = [head, ["---"] * len(head), *([_cell(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in body) + "\n"


def _cell(value: Any) -> str:
    """Text of the data in a table of Markdown: no markup, no new cells, no new lines."""
    plain = "".join(c if c.isprintable() else " " for c in str(value))
    return re.sub(r"([\\`|<>\[\]*_])", r"\\\1", plain)


def _croissant(
    name: str, manifest: dict[str, Any], found: dict[str, Any], schema: pa.Schema, licence: str | None
) -> dict[str, Any]:
    files = [
        {
            "@type": "cr:FileObject",
            "@id": entry["path"],
            "name": entry["path"],
            "contentUrl": entry["path"],
            "contentSize": f"{entry['bytes']} B",
            "encodingFormat": MEDIA[entry["path"].rpartition(".")[2]],
            "sha256": entry["sha256"],
        }
        for entry in found["files"]
    ]
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"documents/{field.name}",
            "name": field.name,
            "dataType": _data_type(field.type),
            "source": {"fileSet": {"@id": "shards"}, "extract": {"column": field.name}},
        }
        for field in schema
        if not pa.types.is_nested(field.type)
    ]
    media = files[0]["encodingFormat"]
    shards = {
        "@type": "cr:FileSet",
        "@id": "shards",
        "name": "shards",
        "encodingFormat": media,
        "includes": re.sub(r"\d{5}-of-\d{5}", "*", found["files"][0]["path"]),
    }
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CROISSANT,
        "name": name,
        **({"license": licence} if licence else {}),
        "description": f"{found['rows']} rows of curated text; {manifest['documents']['kept']} documents kept of "
        f"{manifest['documents']['read']} read.",
        "distribution": [*files, shards],
        "recordSet": [{"@type": "cr:RecordSet", "@id": "documents", "name": "documents", "field": fields}],
    }


def _data_type(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    if pa.types.is_integer(kind):
        return "sc:Integer"
    if pa.types.is_floating(kind):
        return "sc:Float"
    return "sc:Date" if pa.types.is_date(kind) or pa.types.is_timestamp(kind) else "sc:Text"


#: the context of every Croissant 1.0 file
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "sc": "https://schema.org/",
    **{
        name: f"cr:{name}"
        for name in (
            *("extract", "field", "fileProperty", "fileObject", "fileSet", "format", "includes", "isLiveDataset"),
            *("jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex", "repeated"),
            *("replace", "samplingRate", "separator", "source", "subField", "transform"),
        )
    },
}
