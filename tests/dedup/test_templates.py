"""What must not be merged: documents that differ and only share a paragraph, a template or a name."""

import pyarrow as pa

from curation.dedup import deduplicate

LICENCE = (
    "Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated "
    "documentation files, to deal in the software without restriction, including without limitation the rights to use, "
    "copy, modify, merge, publish, distribute, sublicense, and sell copies of the software."
)


def _own_words(number: int, count: int) -> str:
    return " ".join(f"w{number * count + k}" for k in range(count))


def _removed(texts: list[str]) -> list[int]:
    ids = [f"{n:05d}" for n in range(len(texts))]
    parts = [slice(start, start + 1000) for start in range(0, len(texts), 1000)]
    batches = [pa.RecordBatch.from_pydict({"id": ids[part], "text": texts[part]}) for part in parts]
    done = deduplicate(batches, id="id")
    reasons = [reason for batch in done for reason in batch.column("filter_reason").to_pylist()]
    return [n for n, reason in enumerate(reasons) if reason is not None]


def test_ten_thousand_documents_with_one_boilerplate_paragraph_stay_distinct():
    texts = [f"{LICENCE}\n\n{_own_words(n, 60)}" for n in range(10_000)]
    # 47 words of the licence in common of 107: a true similarity of about .27
    assert _removed(texts) == []


def test_a_template_stays_distinct_and_its_copies_leave():
    texts = [f"{LICENCE}\n\n{_own_words(n, 40)}" for n in range(300)]
    copies = [texts[n].upper() for n in range(0, 300, 30)]
    assert _removed(texts + copies) == list(range(300, 310))
