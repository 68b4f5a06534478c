"""The score kernel against plain Python, and the model's file."""

import json
import math
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.kernels.hashing import word_hash
from curation.kernels.score import BITS, BLANKS, BUCKETS, SHAPES, WINDOW
from curation.kernels.tokens import NUMBER, WORD
from curation.synthetic import Model, load_model, save_model, score
from curation.synthetic.model import SHIPPED
from curation.text import Tokens, tokenise

MASK = (1 << 64) - 1
START = 0x9E3779B97F4A7C15
MUL1, MUL2 = 0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53
MEASURED = {"thresholds": [[0.0] * 9] * 4, "medians": [-1.0] * 4, "slope": 1.0, "intercept": 0.0, "tpr": {}}


def mix(value: int) -> int:
    value ^= value >> 33
    value = value * MUL1 & MASK
    value ^= value >> 33
    value = value * MUL2 & MASK
    return value ^ (value >> 33)


def reference_score(tokens: Tokens, document: int, model: Model, min_words: int) -> tuple[float, float]:
    """Both scores of one document as the documentation states them, one token at a time."""
    first, stop = int(tokens.offsets[document]), int(tokens.offsets[document + 1])
    if sum(1 for t in range(first, stop) if tokens.kind[t] & WORD) < min_words:
        return math.nan, math.nan
    starts = [first]
    if stop - first > 2 * WINDOW:
        starts.append(first + (stop - first - WINDOW) // 2)
    totals = [0.0, 0.0]
    for begin in starts:
        last, frame, buckets, seen = START, [START, START], [], {}
        for t in range(begin, min(begin + WINDOW, stop)):
            current = third = int(tokens.hash[t])
            length = int(tokens.length[t])
            if tokens.kind[t] & NUMBER:
                current = third = int(SHAPES[min(length, 16) - 1])
            elif tokens.kind[t] & WORD and not model.vocabulary[current >> 51] >> (current >> 48 & 7) & 1:
                third = int(BLANKS[length & 15])
            pair = (last * MUL1 + current) * MUL2 & MASK
            triple = (((frame[0] * MUL1 + frame[1] & MASK) ^ START) * MUL2 + third) * MUL1 & MASK
            for bucket in (mix(current ^ START) >> 64 - BITS, pair >> 64 - BITS, triple >> 64 - BITS):
                if seen.get(bucket % 2**14) != bucket:
                    buckets.append(bucket)
                seen[bucket % 2**14] = bucket
            last, frame = current, [frame[1], third]
        odd = [b for b in buckets if b % 2]
        totals[0] += sum(int(model.weights[b]) for b in buckets) / math.sqrt(len(buckets))
        totals[1] += sum(int(model.check[b // 2]) for b in odd) / math.sqrt(max(1, len(odd)))
    scale, bias, check_scale, check_bias = model.scales
    return totals[0] / len(starts) * scale + bias, totals[1] / len(starts) * check_scale + check_bias


@pytest.fixture(scope="module")
def model() -> Model:
    draw = np.random.default_rng(5)
    weights = draw.integers(-127, 128, BUCKETS).astype(np.int8)
    check = draw.integers(-127, 128, BUCKETS // 2).astype(np.int8)
    scales = np.array([0.01, -0.5, 0.02, 0.25])
    vocabulary = draw.integers(0, 256, 1 << 13).astype(np.uint8)
    return Model(weights, check, vocabulary, scales, {"logit": MEASURED, "logit_check": MEASURED}, {}, "")


words = st.lists(st.sampled_from(["the", "Model", "x1", "2024", "42", ",", ".", "don't", "é", "水", "--"]), max_size=60)


@settings(max_examples=60, deadline=None)
@given(documents=st.lists(words, min_size=1, max_size=5), min_words=st.integers(1, 12))
def test_scores_equal_the_reference(model: Model, documents: list[list[str]], min_words: int) -> None:
    tokens = tokenise(pa.array([" ".join(d) for d in documents]))
    found = np.stack(score(tokens, model, min_words), axis=1)
    expected = [reference_score(tokens, d, model, min_words) for d in range(len(documents))]
    np.testing.assert_allclose(found, np.array(expected), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("length", [WINDOW - 1, WINDOW, 2 * WINDOW, 2 * WINDOW + 1, 5 * WINDOW + 3])
def test_long_documents_equal_the_reference(model: Model, length: int) -> None:
    tokens = tokenise(pa.array([" ".join(f"w{chr(97 + i * 7 % 26)}{chr(97 + i % 26)}" for i in range(length))]))
    found = score(tokens, model, 50)
    np.testing.assert_allclose([x[0] for x in found], reference_score(tokens, 0, model, 50), rtol=1e-5)


def test_only_the_windows_count(model: Model) -> None:
    words = [f"w{chr(97 + i % 26)}" for i in range(4 * WINDOW)]
    changed = words.copy()
    changed[-1] = "elsewhere"
    head = words.copy()
    head[0] = "elsewhere"
    logit, _ = score(tokenise(pa.array([" ".join(w) for w in (words, changed, head)])), model)
    assert logit[0] == logit[1] != logit[2]


def test_case_layout_and_the_digits_of_numbers_do_not_count(model: Model) -> None:
    text = "in 2019 the model saw 37 of them , and then it stopped . " * 6
    other = "\n\n* **In  2024**   THE model saw “99” of them, and then\tit stopped.  " * 6
    logit, check = score(tokenise(pa.array([text, other])), model)
    assert logit[0] == logit[1] and check[0] == check[1]


def test_a_score_does_not_depend_on_the_batch(model: Model) -> None:
    texts = ["one two three four five " * 20, "", "six seven eight, nine. " * 300, "short"]
    together = score(tokenise(pa.array(texts)), model)
    for i, text in enumerate(texts):
        for all_, one in zip(together, score(tokenise(pa.array([text])), model), strict=True):
            np.testing.assert_array_equal(all_[i : i + 1], one)
    np.testing.assert_array_equal(np.isnan(together[0]), [False, True, False, True])


def test_many_documents_in_a_batch_do_not_share_what_they_have_seen(model: Model) -> None:
    # more documents than there are turns, so that the table of seen features is cleared in between
    texts = ["the same few words in each of them, over and over. " * 8] * 1500
    logit, check = score(tokenise(pa.array(texts)), model)
    assert len(set(logit.tolist())) == len(set(check.tolist())) == 1


def test_repetition_adds_nothing(model: Model) -> None:
    text = "one two three four five six seven eight nine ten . " * 6
    logit, check = score(tokenise(pa.array([text, text * 3])), model)
    assert logit[0] == logit[1] and check[0] == check[1]


def test_check_reads_odd_buckets_only(model: Model) -> None:
    tokens = tokenise(pa.array(["some words that are long enough to be scored here " * 8]))
    even = model.weights.copy()
    even[::2] = 0
    half = model._replace(weights=even, check=np.ascontiguousarray(even[1::2]), scales=np.array([1.0, 0, 1.0, 0]))
    logit, check = score(tokens, half)
    assert check[0] != 0 and np.sign(logit[0]) == np.sign(check[0])


def test_a_saved_model_comes_back(model: Model, tmp_path: Path) -> None:
    saved = save_model(tmp_path / "a.npz", model)
    again = load_model(tmp_path / "a.npz")
    np.testing.assert_array_equal(again.weights, model.weights)
    np.testing.assert_array_equal(again.check, model.check)
    np.testing.assert_array_equal(again.vocabulary, model.vocabulary)
    np.testing.assert_array_equal(again.scales, model.scales)
    assert again.calibration == model.calibration and again.version == saved.version and len(again.version) == 64
    save_model(tmp_path / "b.npz", again)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_loading_twice_reads_once(model: Model, tmp_path: Path) -> None:
    save_model(tmp_path / "a.npz", model)
    assert load_model(tmp_path / "a.npz") is load_model(str(tmp_path / "a.npz"))


def rewrite(path: Path, name: str, data: bytes) -> None:
    with zipfile.ZipFile(path) as archive:
        parts = {n: archive.read(n) for n in archive.namelist()}
    parts[name] = data
    with zipfile.ZipFile(path, "w") as archive:
        for key, value in parts.items():
            archive.writestr(key, value)


def damaged(kind: str, path: Path) -> None:
    raw = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        header = json.loads(archive.read("header.json"))
    if kind == "truncated":
        path.write_bytes(raw[: len(raw) // 2])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_bytes(b"not a model at all")
    elif kind == "flipped":
        middle = len(raw) // 3
        path.write_bytes(raw[:middle] + bytes([raw[middle] ^ 255]) + raw[middle + 1 :])
    elif kind == "version":
        rewrite(path, "header.json", json.dumps(header | {"version": "model-0"}).encode())
    elif kind == "checksum":
        rewrite(path, "header.json", json.dumps(header | {"scales": [1, 2, 3, 4]}).encode())
    elif kind == "header":
        rewrite(path, "header.json", b"[]")
    elif kind == "missing":
        path.unlink()


@pytest.mark.parametrize("kind", ["truncated", "empty", "text", "flipped", "version", "checksum", "header", "missing"])
def test_a_bad_file_is_named_with_the_way_out(model: Model, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model.npz"
    save_model(path, model)
    damaged(kind, path)
    with pytest.raises(ValueError, match=r"model\.npz.*shipped"):
        load_model(path)


def test_the_shipped_model_tells_known_styles_apart() -> None:
    stiff = (
        "It is important to note that this multifaceted approach not only enhances overall efficiency but also "
        "fosters a sense of collaboration. Furthermore, by leveraging these key insights, organizations can "
        "navigate the complexities of the evolving landscape and ensure long-term success. Additionally, it is "
        "crucial to consider the various factors that play a significant role in this process. In conclusion, "
        "embracing these strategies can help create a more inclusive and sustainable future for everyone involved. "
    )
    plain = (
        "i dunno, we drove up sunday and the road was shut so dave got out and had a word with the bloke at the "
        "gate. turned out he knew his brother from the pub. anyway he let us through and we had the chips cold on "
        "the beach, about four, wind blowing sand in everything. mum rang twice. didn't pick up, no signal, which "
        "she won't believe of course. got home late and the cat had been sick on the stairs again, great. "
    )
    logit, check = score(tokenise(pa.array([stiff, plain])), load_model())
    assert logit[0] > 1 > -1 > logit[1]
    assert check[0] > check[1]


def test_the_shipped_model_is_small_and_carries_its_evidence() -> None:
    shipped = load_model("shipped")
    assert shipped is load_model()
    for kind in ("logit", "logit_check"):
        measured = shipped.calibration[kind]
        assert len(measured["thresholds"]) == len(measured["medians"]) == 4 and len(measured["tpr"]) >= 4
        assert all(a >= b for row in measured["thresholds"] for a, b in zip(row, row[1:], strict=False))
        assert measured["slope"] > 0
    assert shipped.training["sources"] and 0.02 < (shipped.weights != 0).mean() < 0.5
    assert SHIPPED.stat().st_size < 2_000_000


def test_the_shipped_model_is_not_trained_on_texts_whose_terms_forbid_it() -> None:
    sources = {item["source"] for item in load_model("shipped").training["sources"]}
    assert "ranhli/l2r_data" in sources
    assert not sources & {"ryuryukke/OUTFOX", "mbzuai-nlp/M4", "Jihuai-wpy/SeqXGPT"}


def test_the_tokeniser_still_hashes_words_as_the_model_learned_them() -> None:
    assert tokenise(pa.array(["Don’t"])).hash.tolist() == [word_hash("don't")]
