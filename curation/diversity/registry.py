"""What each statistic is: one entry here is a row of the report and of docs/statistics.md."""

from typing import Literal, NamedTuple

BUDGET = 30_000  # words to which statistics that grow with the text are rarefied
BLOCK = 350  # documents to which self-repetition is rarefied


class Statistic(NamedTuple):
    """How to compute and read one statistic.

    worse: the direction that tells of lost human variance, `away` for any move from the reference, `none` for
    sizes. regime: what moves it, one pass of a language model (`contamination`), generations of training on
    own output (`recursion`), both, or `size`. least: the n below which the value is marked as of a small
    sample; n counts `per`. phrase: the concern that it stands for.
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
        title="Documents",
        unit="documents",
        meaning="documents measured",
        formula="count",
        source="-",
        bias="none",
        worse="none",
        regime="size",
        phrase="size",
        least=0,
        per="documents",
    ),
    "words": Statistic(
        title="Words",
        unit="words",
        meaning="words measured",
        formula="count",
        source="-",
        bias="none",
        worse="none",
        regime="size",
        phrase="size",
        least=0,
        per="words",
    ),
    "entropy": Statistic(
        title="Word entropy",
        unit="bits",
        meaning="how varied the vocabulary is",
        formula="H1 = -sum p log2 p; Chao-Shen below 100,000 words, Grassberger from there",
        source="Chao and Shen 2003; Grassberger 2003",
        bias="about -1 bit at 3,000 words, -0.2 at 30,000, -0.1 at 100,000; hashed to 2^20",
        worse="down",
        regime="recursion",
        phrase="variance",
        least=30_000,
        per="words",
    ),
    "bigram_entropy": Statistic(
        title="Word-pair entropy",
        unit="bits",
        meaning="how varied pairs of words are",
        formula="H2 = -sum p log2 p over adjacent words, estimated as the word entropy",
        source="as word entropy",
        bias="low for small texts and, by collisions in 2^20 cells, for large ones: compare at equal size",
        worse="down",
        regime="recursion",
        phrase="stylistic convergence",
        least=1_000_000,
        per="pairs",
    ),
    "conditional_entropy": Statistic(
        title="Conditional entropy",
        unit="bits",
        meaning="how open the next word is",
        formula="H2 - H1",
        source="Shannon 1951",
        bias="as word-pair entropy",
        worse="down",
        regime="recursion",
        phrase="stylistic convergence",
        least=1_000_000,
        per="pairs",
    ),
    "effective_words": Statistic(
        title="Effective words",
        unit="words",
        meaning="words in balanced use",
        formula="Hill number of order 2: n(n-1) / sum c(c-1)",
        source="Simpson 1949; Hill 1973",
        bias="unbiased at every size",
        worse="down",
        regime="recursion",
        phrase="variance",
        least=3_000,
        per="words",
    ),
    "missing_mass": Statistic(
        title="Missing mass",
        unit="share",
        meaning="chance that the next word is new",
        formula="f1/n (n-1)f1 / ((n-1)f1 + 2 f2), f1 and f2 from an exact sample of words by hash",
        source="Good 1953; Chao and Jost 2012",
        bias="falls with size: compare at equal size, or as coverage 1 - mass",
        worse="down",
        regime="recursion",
        phrase="weird edge cases",
        least=30_000,
        per="words",
    ),
    "hapax_mass": Statistic(
        title="Words seen once",
        unit="share",
        meaning="share of a text of 30,000 words that are words seen once in it",
        formula="sum over words of P(seen once among 30,000 drawn) / 30,000",
        source="Hurlbert 1971; Baayen 2001",
        bias="none at the fixed budget, but for clustering",
        worse="down",
        regime="recursion",
        phrase="weird edge cases",
        least=30_000,
        per="words",
    ),
    "distinct_2": Statistic(
        title="Distinct pairs",
        unit="share",
        meaning="distinct word pairs among 30,000",
        formula="sum over pairs of P(seen among 30,000 drawn) / 30,000, in the reservoir",
        source="Li et al. 2016; Hurlbert 1971",
        bias="none at the fixed budget, but for clustering",
        worse="down",
        regime="both",
        phrase="originality",
        least=30_000,
        per="pairs",
    ),
    "compression_ratio": Statistic(
        title="Compression",
        unit="ratio",
        meaning="how well blocks of 64 KiB compress",
        formula="raw / deflate bytes, mean over blocks",
        source="Shaib et al. 2024, arXiv 2403.00553",
        bias="none at the fixed block size",
        worse="up",
        regime="contamination",
        phrase="stylistic convergence",
        least=4,
        per="blocks",
    ),
    "self_repetition_4": Statistic(
        title="Repeated 4-grams",
        unit="share",
        meaning="runs of 4 words that are also in another of 350 documents",
        formula="sum over sampled runs of occurrences x P(in another of 349 documents) / occurrences",
        source="Salkar et al. 2022; Shaib et al. 2024",
        bias="grows with the length of documents",
        worse="up",
        regime="both",
        phrase="templated explanation",
        least=1_000,
        per="documents",
    ),
    "self_repetition_8": Statistic(
        title="Repeated 8-grams",
        unit="share",
        meaning="runs of 8 words that are also in another of 350 documents",
        formula="as repeated 4-grams",
        source="Salkar et al. 2022",
        bias="grows with the length of documents",
        worse="up",
        regime="both",
        phrase="originality",
        least=1_000,
        per="documents",
    ),
    "style_convergence": Statistic(
        title="Style convergence",
        unit="cosine",
        meaning="how alike documents sound",
        formula="mean cosine of pairs of standardised style vectors: (|sum u|^2 - D) / (D (D - 1))",
        source="Zhang et al. 2018 (mean pairwise cosine)",
        bias="unbiased; not 0 for one genre, since the ruler is of many",
        worse="up",
        regime="contamination",
        phrase="stylistic convergence",
        least=100,
        per="documents",
    ),
    "effective_rank": Statistic(
        title="Effective rank",
        unit="directions",
        meaning="directions in which documents vary",
        formula="exp of the entropy of the normalised eigenvalues of the covariance of the 16 scalars",
        source="Roy and Vetterli 2007; Friedman and Dieng 2023",
        bias="low below a few hundred documents",
        worse="down",
        regime="both",
        phrase="variance",
        least=160,
        per="documents",
    ),
    "skeleton_templates": Statistic(
        title="Template share",
        unit="share",
        meaning="sentence frames shared by several documents",
        formula="windows of 6 tokens whose skeleton is in 3 or more of 350 documents, mean over blocks",
        source="Shaib et al. 2024, arXiv 2407.00211",
        bias="none at the fixed block; grows with length up to 1 kB",
        worse="up",
        regime="contamination",
        phrase="templated explanation",
        least=350,
        per="documents",
    ),
    "opener_entropy": Statistic(
        title="Opener entropy",
        unit="bits",
        meaning="how varied sentence beginnings are",
        formula="Chao-Shen entropy of the first two words of sentences",
        source="Chao and Shen 2003",
        bias="low below 10,000 sentences; at most 16 bits by hashing",
        worse="down",
        regime="contamination",
        phrase="templated explanation",
        least=10_000,
        per="sentences",
    ),
    "scaffold_rate": Statistic(
        title="Scaffold phrases",
        unit="per 1,000 words",
        meaning="formulae by which assistants structure an answer",
        formula="1,000 x matches / words",
        source="lexicon of the ruler",
        bias="none; depends on genre",
        worse="up",
        regime="contamination",
        phrase="templated explanation",
        least=10_000,
        per="words",
    ),
    "polarity_disagreement": Statistic(
        title="Contradiction",
        unit="share",
        meaning="pairs of mentions of a word that disagree in polarity",
        formula="sum_k 2 n+ n- / (n_k - 1) / sum_k n_k of content words; negative up to 4 tokens past a negator",
        source="Simpson 1949 applied to polarity",
        bias="unbiased in size; collisions in 2^17 cells pull it to the mean",
        worse="down",
        regime="contamination",
        phrase="contradiction density",
        least=30_000,
        per="mentions",
    ),
    "self_correction_rate": Statistic(
        title="Self-correction",
        unit="per 1,000 words",
        meaning="writers taking something back",
        formula="1,000 x matches / words",
        source="lexicon of the ruler",
        bias="rare: needs 100,000 words",
        worse="down",
        regime="contamination",
        phrase="contradiction density",
        least=100_000,
        per="words",
    ),
    "refutation_rate": Statistic(
        title="Refutation",
        unit="per 1,000 words",
        meaning="writers disputing something",
        formula="1,000 x matches / words",
        source="lexicon of the ruler",
        bias="depends on genre; not reliable alone",
        worse="away",
        regime="contamination",
        phrase="contradiction density",
        least=100_000,
        per="words",
    ),
    "hedge_rate": Statistic(
        title="Hedge and contrast",
        unit="per 1,000 words",
        meaning="words of doubt and contrast",
        formula="1,000 x matches / words",
        source="Hyland 1998; lexicon of the ruler",
        bias="depends on genre",
        worse="away",
        regime="contamination",
        phrase="contradiction density",
        least=10_000,
        per="words",
    ),
    "negation_rate": Statistic(
        title="Negation",
        unit="per 1,000 words",
        meaning="words that negate",
        formula="1,000 x matches / words",
        source="lexicon of the ruler",
        bias="depends on genre",
        worse="down",
        regime="contamination",
        phrase="contradiction density",
        least=10_000,
        per="words",
    ),
    "tail_mass": Statistic(
        title="Tail mass",
        unit="share",
        meaning="words outside the commonest types of the ruler",
        formula="share of words outside the types that carry 90 % of held-out human text",
        source="Dohmatob et al. 2024, 2402.07043",
        bias="unbiased; rises with foreign text and with one pass of a model, falls in recursion",
        worse="away",
        regime="recursion",
        phrase="weird edge cases",
        least=3_000,
        per="words",
    ),
    "tail_coverage": Statistic(
        title="Tail coverage",
        unit="share",
        meaning="rare words of the ruler that occur in 30,000 words",
        formula="sum over tail types of P(seen among 30,000 drawn) / tail types",
        source="Hurlbert 1971",
        bias="slightly high: unknown words share a cell with a tail type now and then",
        worse="down",
        regime="recursion",
        phrase="weird edge cases",
        least=30_000,
        per="words",
    ),
    "surprisal": Statistic(
        title="Surprisal",
        unit="bits per word",
        meaning="mean over documents of bigram surprisal under the ruler",
        formula="E_i[mean_t -log2 P(w_t | w_t-1)]",
        source="Gambetta et al. 2024, arXiv 2410.12341",
        bias="unbiased",
        worse="away",
        regime="both",
        phrase="safe average reasoning",
        least=100,
        per="documents",
    ),
    "surprisal_variance": Statistic(
        title="Variance of surprisal",
        unit="bits^2",
        meaning="how documents differ in surprisal",
        formula="Var_i of the same",
        source="as surprisal",
        bias="higher for short documents",
        worse="down",
        regime="both",
        phrase="safe average reasoning",
        least=100,
        per="documents",
    ),
}


def readings() -> dict[str, dict[str, str | None]]:
    """How a report shows each statistic: title, unit, meaning, worse and scale (None: the spread of the shards).

    Sizes are left out.
    """
    return {
        name: {"title": s.title, "unit": s.unit, "meaning": s.meaning, "worse": s.worse, "scale": None}
        for name, s in STATISTICS.items()
        if s.worse != "none"
    }


def table() -> str:
    """The registry as a Markdown table."""
    rows = [
        "| name | stands for | what | formula | unit | worse | moved by | bias | source |",
        "|" + "---|" * 9,
    ]
    for name, s in STATISTICS.items():
        cells = (f"`{name}`", s.phrase, s.meaning, s.formula, s.unit, s.worse, s.regime, s.bias, s.source)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)
