"""The whole detector on a table in memory: gate, score, calibrate, label."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.kernels.tokens import WORD
from curation.schema import LABELS
from curation.synthetic.calibration import REASONS, Calibration, apply, calibrate
from curation.synthetic.histogram import Anchors, anchor_state, empty_anchors, merge
from curation.synthetic.model import MIN_WORDS, load_model, score
from curation.text.gate import ENGLISH, LANGS, PROSE, gate
from curation.text.tokens import text_buffer, tokenise

_ADDED = ("p_synthetic", "synthetic_label", "synthetic_reason")


def detect_synthetic(
    table: pa.Table,
    *,
    text: str = "text",
    source: str | None = None,
    human: np.ndarray | None = None,
    anchors: Anchors | None = None,
    calibration: Calibration | None = None,
    fpr: float = 0.01,
    model: str = "shipped",
    min_words: int = MIN_WORDS,
    label_words: int = 150,
) -> pa.Table:
    """The table with `p_synthetic`, `synthetic_label` and `synthetic_reason` added (or replaced).

    `source` names a column of strata; `human` bool[rows] marks documents that are known to be human, which
    with `anchors` calibrate the labels (see `calibrate`). Without a hundred of them labels use the model's
    own thresholds. A `calibration` made before takes the place of `human`, `anchors` and `fpr`. Raises KeyError
    for a column that the table lacks, ValueError for a model that cannot be read, a bad `fpr`, or a calibration
    given beside anchors.
    """
    if calibration is not None and (human is not None or anchors is not None):
        raise ValueError("give a calibration or what to make one from (human, anchors), not both")
    for name in (text, source):
        if name is not None and name not in table.column_names:
            raise KeyError(f"no column {name!r}; the table has {', '.join(table.column_names)}")
    loaded = load_model(model)
    names = table[source].to_pylist() if source is not None else ["default"] * table.num_rows
    sources = np.array(["default" if n is None else str(n) for n in names], np.str_)
    parts = []
    for chunk in table[text].chunks:
        tokens = tokenise(chunk)
        gated = gate(tokens, *text_buffer(chunk))
        before = np.concatenate(([0], np.cumsum((tokens.kind & WORD) > 0)))[tokens.offsets]
        parts.append((*score(tokens, loaded, min_words), np.diff(before), gated.code, gated.lang))
    if not parts:
        parts = [(np.zeros(0, np.float32),) * 2 + (np.zeros(0, np.int64),) + (np.zeros(0, np.uint8),) * 2]
    logit, check, words, code, lang = (np.concatenate(column) for column in zip(*parts, strict=True))
    known = anchors if anchors is not None else empty_anchors()
    if human is not None:
        mask = np.asarray(human, bool) & (code == PROSE) & (lang == ENGLISH)
        known = merge(known, anchor_state(logit, check, words, sources, mask))
    calibration = calibration or calibrate(known, loaded, fpr)
    limits = {"label_words": label_words, "min_words": min_words}
    p, label, reason = apply(calibration, logit, words, sources, code, np.array(LANGS)[lang], **limits)
    columns = (
        pa.array(p, pa.float32(), mask=np.isnan(p)),
        pa.array(LABELS, pa.string()).take(pa.array(label)),
        pc.if_else(pa.array(reason == 0), None, pa.array(REASONS, pa.string()).take(pa.array(reason))),
    )
    table = table.drop_columns([name for name in _ADDED if name in table.column_names])
    for name, column in zip(_ADDED, columns, strict=True):
        table = table.append_column(name, column)
    return table
