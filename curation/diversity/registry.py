"""What each statistic is: one entry here is a row of the report and of docs/statistics.md."""

from typing import Literal, NamedTuple

BUDGET = 30_000  # words to which statistics that grow with the text are rarefied
BLOCK = 350  # documents to which self-repetition is rarefied


class Statistic(NamedTuple):
    """How to compute and read one statistic.

    worse: the direction that tells of lost human variance, `away` for any move from the reference, `none` for sizes.
    regime: what moves it, one pass of a language model (`contamination`), generations of training on own output
    (`recursion`), both, or `size`. least: the n below which the value is marked as of a small sample; n counts `per`.
    phrase: the concern that it stands for.
    """

    title: str
    unit: str
    meaning: str
    formula: str
    source: str
    bias: str
    worse: Literal["up", "down", "away", "none"]
    regime: Literal["contamination", "recursion", "both", "size"]
    phrase: str
    least: int
    per: str


STATISTICS: dict[str, Statistic] = {
    "documents": Statistic(
        "Documents", "documents", "documents measured", "count", "-", "none", "none", "size", "size", 0, "documents"
    ),
    "words": Statistic("Words", "words", "words measured", "count", "-", "none", "none", "size", "size", 0, "words"),
    "entropy": Statistic(
        "Word entropy", "bits", "how varied the vocabulary is",
        "H1 = -sum p log2 p; Chao-Shen below 100,000 words, Grassberger from there",
        "Chao and Shen 2003; Grassberger 2003",
        "about -1 bit at 3,000 words, -0.2 at 30,000, -0.1 at 100,000; words share a cell of 2^20 now and then",
        "down", "recursion", "variance", 30_000, "words",
    ),
    "bigram_entropy": Statistic(
        "Word-pair entropy", "bits", "how varied pairs of words are",
        "H2 = -sum p log2 p over adjacent words, estimated as the word entropy", "as word entropy",
        "strongly low for small texts and, by collisions in 2^20 cells, for large ones: compare at equal size",
        "down", "recursion", "stylistic convergence", 1_000_000, "pairs",
    ),
    "conditional_entropy": Statistic(
        "Conditional entropy", "bits", "how open the next word is", "H2 - H1", "Shannon 1951", "as word-pair entropy",
        "down", "recursion", "stylistic convergence", 1_000_000, "pairs",
    ),
    "effective_words": Statistic(
        "Effective words", "words", "words in balanced use", "Hill number of order 2: n(n-1) / sum c(c-1)",
        "Simpson 1949; Hill 1973", "unbiased at every size", "down", "recursion", "variance", 3_000, "words",
    ),
    "missing_mass": Statistic(
        "Missing mass", "share", "chance that the next word is new",
        "f1/n (n-1)f1 / ((n-1)f1 + 2 f2), f1 and f2 from an exact sample of words by hash",
        "Good 1953; Chao and Jost 2012", "falls with size: compare at equal size, or as coverage 1 - mass",
        "down", "recursion", "weird edge cases", 30_000, "words",
    ),
    "hapax_mass": Statistic(
        "Words seen once", "share", "share of a text of 30,000 words that are words seen once in it",
        "sum over words of P(seen once among 30,000 drawn) / 30,000", "Hurlbert 1971; Baayen 2001",
        "none at the fixed budget, but for clustering", "down", "recursion", "weird edge cases", 30_000, "words",
    ),
    "distinct_2": Statistic(
        "Distinct pairs", "share", "distinct word pairs among 30,000",
        "sum over pairs of P(seen among 30,000 drawn) / 30,000, in the reservoir", "Li et al. 2016; Hurlbert 1971",
        "none at the fixed budget, but for clustering", "down", "both", "originality", 30_000, "pairs",
    ),
    "compression_ratio": Statistic(
        "Compression", "ratio", "how well blocks of 64 KiB compress", "raw / deflate bytes, mean over blocks",
        "Shaib et al. 2024, arXiv 2403.00553", "none at the fixed block size", "up", "contamination",
        "stylistic convergence", 4, "blocks",
    ),
    "self_repetition_4": Statistic(
        "Repeated 4-grams", "share", "runs of 4 words that are also in another of 350 documents",
        "sum over sampled runs of occurrences x P(in another of 349 documents) / occurrences",
        "Salkar et al. 2022; Shaib et al. 2024", "grows with the length of documents", "up", "both",
        "templated explanation", 1_000, "documents",
    ),
    "self_repetition_8": Statistic(
        "Repeated 8-grams", "share", "runs of 8 words that are also in another of 350 documents",
        "as repeated 4-grams", "Salkar et al. 2022", "grows with the length of documents", "up", "both",
        "originality", 1_000, "documents",
    ),
    "style_convergence": Statistic(
        "Style convergence", "cosine", "how alike documents sound",
        "mean cosine of pairs of standardised style vectors: (|sum u|^2 - D) / (D (D - 1))",
        "Zhang et al. 2018 (mean pairwise cosine)", "unbiased; not 0 for one genre, since the ruler is of many",
        "up", "contamination", "stylistic convergence", 100, "documents",
    ),
    "effective_rank": Statistic(
        "Effective rank", "directions", "directions in which documents vary",
        "exp of the entropy of the eigenvalues of the covariance of the 16 style scalars, over their sum",
        "Roy and Vetterli 2007; Friedman and Dieng 2023", "low below a few hundred documents",
        "down", "both", "variance", 160, "documents",
    ),
    "skeleton_templates": Statistic(
        "Template share", "share", "sentence frames shared by several documents",
        "windows of 6 tokens whose skeleton is in 3 or more of 350 documents, mean over blocks",
        "Shaib et al. 2024, arXiv 2407.00211", "none at the fixed block; grows with length up to 1 kB",
        "up", "contamination", "templated explanation", 350, "documents",
    ),
    "opener_entropy": Statistic(
        "Opener entropy", "bits", "how varied sentence beginnings are",
        "Chao-Shen entropy of the first two words of sentences", "Chao and Shen 2003",
        "low below 10,000 sentences; at most 16 bits by hashing", "down", "contamination", "templated explanation",
        10_000, "sentences",
    ),
    "scaffold_rate": Statistic(
        "Scaffold phrases", "per 1,000 words", "formulae by which assistants structure an answer",
        "1,000 x matches / words", "lexicon of the ruler", "none; depends on genre", "up", "contamination",
        "templated explanation", 10_000, "words",
    ),
    "polarity_disagreement": Statistic(
        "Contradiction", "share", "pairs of mentions of a word that disagree in polarity",
        "sum_k 2 n+ n- / (n_k - 1) / sum_k n_k over content words; negative after a negator within 4 tokens",
        "Simpson 1949 applied to polarity", "unbiased in size; collisions in 2^17 cells pull it to the mean",
        "down", "contamination", "contradiction density", 30_000, "mentions",
    ),
    "self_correction_rate": Statistic(
        "Self-correction", "per 1,000 words", "writers taking something back", "1,000 x matches / words",
        "lexicon of the ruler", "rare: needs 100,000 words", "down", "contamination", "contradiction density",
        100_000, "words",
    ),
    "refutation_rate": Statistic(
        "Refutation", "per 1,000 words", "writers disputing something", "1,000 x matches / words",
        "lexicon of the ruler", "depends on genre; not reliable alone", "away", "contamination",
        "contradiction density", 100_000, "words",
    ),
    "hedge_rate": Statistic(
        "Hedge and contrast", "per 1,000 words", "words of doubt and contrast", "1,000 x matches / words",
        "Hyland 1998; lexicon of the ruler", "depends on genre", "away", "contamination", "contradiction density",
        10_000, "words",
    ),
    "negation_rate": Statistic(
        "Negation", "per 1,000 words", "words that negate", "1,000 x matches / words", "lexicon of the ruler",
        "depends on genre", "down", "contamination", "contradiction density", 10_000, "words",
    ),
    "tail_mass": Statistic(
        "Tail mass", "share", "words outside the commonest types of the ruler",
        "share of words outside the types that carry 90 % of held-out human text", "Dohmatob et al. 2024, 2402.07043",
        "unbiased; rises with foreign text and with one pass of a model, falls in recursion",
        "away", "recursion", "weird edge cases", 3_000, "words",
    ),
    "tail_coverage": Statistic(
        "Tail coverage", "share", "rare words of the ruler that occur in 30,000 words",
        "sum over tail types of P(seen among 30,000 drawn) / tail types", "Hurlbert 1971",
        "slightly high: unknown words share a cell with a tail type now and then", "down", "recursion",
        "weird edge cases", 30_000, "words",
    ),
    "surprisal": Statistic(
        "Surprisal", "bits per word", "mean over documents of bigram surprisal under the ruler",
        "E_i[mean_t -log2 P(w_t | w_t-1)]", "Gambetta et al. 2024, arXiv 2410.12341", "unbiased", "away", "both",
        "safe average reasoning", 100, "documents",
    ),
    "surprisal_variance": Statistic(
        "Variance of surprisal", "bits^2", "how documents differ in surprisal", "Var_i of the same", "as surprisal",
        "higher for short documents", "down", "both", "safe average reasoning", 100, "documents",
    ),
}  # fmt: skip


def table() -> str:
    """The registry as a Markdown table."""
    rows = ["| name | stands for | what | formula | unit | worse | moved by | bias | source |", "|" + "---|" * 9]
    for name, s in STATISTICS.items():
        cells = (f"`{name}`", s.phrase, s.meaning, s.formula, s.unit, s.worse, s.regime, s.bias, s.source)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)
