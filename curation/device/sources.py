"""The CUDA sources with the constants of their Numba twins, as one text a module: what NVRTC and CuPy compile."""

from collections.abc import Mapping
from importlib import resources

from curation.kernels import features, histograms, moments, score
from curation.schema import STYLE

#: bytes of text that one thread of the tokeniser answers for
SEGMENT = 32
#: tokens whose words and shingles a block of the signature kernel holds at a time
CHUNK = 512
#: documents, a warp each, of a block of `score`, `features` and `sample`
SCORE_WARPS, FEATURE_WARPS, SAMPLE_WARPS = 2, 4, 4
#: documents, a warp each, of a block of `histograms`, which share the cache of a block
HISTOGRAM_WARPS = 8

#: A float64 multiplication and addition stay two operations, as on the CPU. CuPy adds -ftz=true, which concerns float32
#: numbers below 2^-126: features are multiples of 2^-10, and a logit is rounded from a float64 that is never so small.
OPTIONS = ("--std=c++17", "--fmad=false")

_CLASSES = ("NO_CLASS", "NEGATION", "PERIOD", "EXCLAMATION", "DASH", "CLASS_SHIFT", "CLASS_MASK")
_STYLE = {
    name: name.upper()
    for name in (
        "tokens", "words", "numbers", "punctuation", "sentences", "ellipses", "capitalised", "lines", "list_lines",
        "long_words", "short_words", "characters_8", "characters_squared_64", "spaceless", "window_words",
        "window_distinct", "window_hapax", "contractions", "sentence_words_squared_16", "short_sentences",
        "long_sentences", "repeated_words",
    )
} | {"allcaps": "ALLCAPS_WORDS"}  # fmt: skip

_MACROS: dict[str, dict[str, int]] = {
    "tokens": {"SEGMENT": SEGMENT},
    "minhash": {"CHUNK": CHUNK},
    "score": {
        "BITS": score.BITS,
        "WORD_BITS": score.WORD_BITS,
        "WINDOW": score.WINDOW,
        "SLOTS": score.SLOTS,
        "WARPS": SCORE_WARPS,
    },
    "features": {
        **{name: getattr(features, name) for name in _CLASSES if not name.startswith("N")},
        **{
            name: getattr(features, name)
            for name in (
                "FUNCTION_MASK", "PHRASE_END", "CONTRACTION", "WINDOW", "LONG_WORD", "SHORT_WORD", "LONG_SENTENCE",
                "SHORT_SENTENCE", "UNSEEN_BIGRAM",
            )
        },
        **{macro: features.STYLE_NAMES.index(name) for name, macro in _STYLE.items()},
        "STYLE": STYLE,
        "WARPS": FEATURE_WARPS,
    },
    "counts": {
        **{name: getattr(features, name) for name in (*_CLASSES, "COMMON") if name != "DASH"},
        "NEGATION_REACH": histograms.NEGATION_REACH,
        "CONTENT_LENGTH": histograms.CONTENT_LENGTH,
        "WARPS": SAMPLE_WARPS,
    },
    "moments": {"UNITS": moments.UNITS},
}  # fmt: skip

#: every module and the kernels that it has
KERNELS: Mapping[str, tuple[str, ...]] = {
    "tokens": ("tokens_count", "tokens_write"),
    "minhash": ("signatures",),
    "score": ("score",),
    "features": ("features",),
    "counts": ("histograms", "sample", "sample_zeros", "sample_levels", "sample_collect"),
    "moments": ("tilt", "first_moments", "scale_rows", "add_blocks"),
}
#: the module of every kernel
MODULE = {kernel: module for module, kernels in KERNELS.items() for kernel in kernels}


def source(module: str) -> str:
    """The CUDA C++ source of a module, complete: constants, common.cuh and its kernels."""
    folder = resources.files("curation.kernels") / "cuda"
    macros = "".join(f"#define {name} {value}\n" for name, value in _MACROS[module].items())
    common = (folder / "common.cuh").read_text("utf-8")
    body = (folder / f"{module}.cu").read_text("utf-8")
    return f'{macros}{common}\n#line 1 "{module}.cu"\n{body}'
