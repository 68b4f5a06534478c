"""The structure of report.json, once: what the jobs fill in, and the only thing that the page and the summary
read.

Every key is optional and every number may be None: a job that did not score, weigh or compare leaves the
section out, sets it to None, or sets only its `reason`, a sentence saying why it is empty. No value is NaN or
infinite. Shares and probabilities are fractions (0 to 1), times are seconds, sizes are bytes unless the name
says megabytes (10^6 bytes). Shards are named `source/relative path`.
"""

from typing import Literal, TypedDict

#: direction in which a statistic tells of lost human variance; `away` means any move from the reference
Worse = Literal["up", "down", "away"]


class SourceCounts(TypedDict, total=False):
    """Documents of one source; read = kept + excluded + quarantined."""

    read: int
    kept: int
    excluded: int
    quarantined: int
    trust: str  # human, premium, unknown or synthetic, as declared
    bytes: int  # UTF-8 bytes of the text that was read
    bytes_kept: int
    by_reason: dict[str, int]  # excluded documents by filter_reason


class ShardCounts(TypedDict, total=False):
    """Documents of one shard."""

    shard: str
    source: str
    read: int
    kept: int
    excluded: int
    quarantined: int
    bytes: int
    bytes_kept: int
    weight: float | None  # mean weight of its kept documents before a selection; 1 is the mean of all


class Documents(TypedDict, total=False):
    reason: str | None
    read: int
    kept: int
    excluded: int
    quarantined: int
    by_reason: dict[str, int]
    by_source: dict[str, SourceCounts]
    by_shard: list[ShardCounts]


class Histogram(TypedDict, total=False):
    """Counts in the bins between neighbouring edges: one edge more than counts."""

    edges: list[float]
    counts: list[int]


class Member(TypedDict, total=False):
    """One document of an example; `text` is its beginning (at most a few hundred characters)."""

    id: str
    source: str
    text: str


class Example(TypedDict, total=False):
    survivor: Member
    duplicate: Member
    similarity: float | None  # estimated Jaccard similarity
    reason: str  # exact_duplicate, near_duplicate or url_duplicate


class Cluster(TypedDict, total=False):
    cluster_id: str
    size: int
    survivor: Member
    by_source: dict[str, int]


class Curves(TypedDict, total=False):
    """Pairs that were compared and documents that merged, by similarity, in common bins; `expected` is the
    probability 1 - (1 - s^rows)^bands that two documents of similarity s are compared."""

    edges: list[float]
    expected: list[float]
    candidates: list[int]
    merged: list[int]


class RepeatedUnits(TypedDict, total=False):
    """Lines or paragraphs in more than `max_repeats` documents."""

    unit: str
    max_repeats: int
    action: str
    repeated: int  # distinct units
    most_documents: int  # documents with the commonest
    by_source: dict[str, dict[str, int]]  # documents, units, bytes and emptied documents


class Duplicates(TypedDict, total=False):
    reason: str | None
    clusters: int  # clusters of two or more
    removed: int
    by_source: dict[str, int]  # removed, by source
    by_reason: dict[str, int]  # removed, by kind of duplicate
    similarity: Histogram  # of removed near-duplicates to their survivors
    largest: list[Cluster]
    examples: list[Example]
    curves: Curves
    against: int  # removed as duplicates of documents of earlier runs
    split_buckets: int  # buckets larger than dedup.max_bucket
    action: str  # remove, or keep: duplicates stay and share a weight
    lines: RepeatedUnits | None


class Contamination(TypedDict, total=False):
    """Documents that share a run of words with benchmark text."""

    reason: str | None
    action: str  # drop or mark
    ngram: int
    overlap: float
    benchmarks: int  # benchmark documents
    too_short: int  # of these, with fewer words than a run
    documents: int  # that share at least one run
    by_benchmark: dict[str, dict[str, object]]  # documents and an example, by benchmark file


class Host(TypedDict, total=False):
    """What the scores of one host's documents come to."""

    documents: int
    judged: int  # of these, with a probability
    mean_p: float | None  # mean probability at even odds
    shrunk_p: float | None  # the same with ten documents of the mean over all hosts added
    prevalence: "Prevalence"


class Prevalence(TypedDict, total=False):
    """Estimated share of synthetic documents with its interval; None, with a reason, if unknown.

    A lower bound may stand alone, when the model does not know how much synthetic text it misses.
    """

    estimate: float | None
    low: float | None
    high: float | None
    lower_bound: float | None  # share that is synthetic even if the model detected all of it
    reason: str | None
    documents: float  # all documents that were read
    scored: float  # of these, the ones that can be judged, of which the estimate is a share
    anchors: float  # known human documents it is calibrated on


class ScoreHistogram(TypedDict, total=False):
    """Scores (log odds of synthetic) in common bins: counts by source, and of the human anchors."""

    edges: list[float]
    counts: dict[str, list[int]]
    anchors: list[int] | None


class Stratum(TypedDict, total=False):
    """Threshold of the synthetic label in one length of one source of human text."""

    source: str | None  # None for any other source
    words: int  # least number of words
    anchors: int  # known human documents behind it
    threshold: float | None
    basis: str  # stratum, length, all or model: where it was found


class Synthetic(TypedDict, total=False):
    reason: str | None
    scored: int  # documents with a score: those of the histogram
    min_words: int  # words below which a document has no score
    covered: int  # of the scored, of kinds that the reference covers: shares and intervals rest on them
    undetermined: dict[str, int]  # by reason
    labels: dict[str, int]  # human, undetermined, synthetic
    prevalence: Prevalence
    prevalence_after: Prevalence  # of the weighted mix
    second_score: dict[str, dict[str, float | None] | None]  # before, after, human: mean, above their 95th percentile
    by_shard: dict[str, Prevalence]
    by_source: dict[str, Prevalence]
    by_host: dict[str, Host]  # those with most documents
    histogram: ScoreHistogram
    threshold: float | None  # score above which a document is labelled synthetic, of the commonest length
    threshold_words: int | None  # words from which texts of that length count
    strata: list[Stratum]  # thresholds of all strata that have their own
    fpr: float  # share of human text that may be labelled synthetic, as configured
    anchors: int  # known human documents in all strata; 0 without
    notes: list[str]  # about the calibration
    warnings: list[str]


class Statistic(TypedDict, total=False):
    """How to read one diversity statistic."""

    title: str
    unit: str
    meaning: str  # one line in plain words
    worse: Worse
    phrase: str  # the concern that it stands for; statistics of one stand together
    scale: (
        float | None
    )  # typical spread between shards of the reference; without it the spread of the shards is taken


Values = dict[str, float | None]  # value by name of statistic


class Diversity(TypedDict, total=False):
    total: Values
    shards: dict[str, Values]
    sources: dict[str, Values]


class DiversitySection(TypedDict, total=False):
    reason: str | None
    before: Diversity
    after: Diversity
    reference: Values  # empty without a reference
    reference_reason: str | None  # why the reference says nothing of these documents
    statistics: dict[str, Statistic]  # in the order in which they are shown


class Variance(TypedDict, total=False):
    """Variance of the mix against the reference: vr_* are 1 and shift and ffd are 0 at the reference."""

    vr_min: float | None  # least variance retained in any direction
    vr_ld: float | None  # geometric mean over directions
    vr_max: float | None
    shift: float | None  # standardised distance of the means
    ffd: float | None  # Frechet feature distance


class VarianceTable(TypedDict, total=False):
    reason: str | None
    before: Variance
    after: Variance
    floor: Variance  # what one half of the reference scores against the other


class VarianceSection(TypedDict, total=False):
    reason: str | None
    balanced: VarianceTable  # features that mixing balances
    held_out: VarianceTable  # features that it never sees


class EffectiveSize(TypedDict, total=False):
    """Effective sample size as a share of what was kept, (sum w)^2 / sum w^2 over the count."""

    documents: float | None
    tokens: float | None
    by_group: dict[str, float | None]


class Feature(TypedDict, total=False):
    """Distance of one balanced feature from its target, in standard errors of the target."""

    name: str
    before: float | None
    after: float | None
    target: float  # mean in the reference
    attained: float  # mean of the mix
    tolerance: float | None  # in units of the feature; None where nothing was balanced


class Constraint(TypedDict, total=False):
    """Something that `require` asks for."""

    name: str
    asked: float
    reached: float | None  # None: cannot be told
    met: bool
    why: str


class Floor(TypedDict, total=False):
    floor: float
    kept: float  # share kept
    met: bool


class WeightTable(TypedDict, total=False):
    quantiles: dict[str, float]  # "0", "0.01", .. "1" -> weight; 1 is the mean
    histogram: Histogram  # of kept documents; edges may be spaced in powers


class Budget(TypedDict, total=False):
    documents: int | None  # asked for
    tokens: int | None
    selected_documents: int
    selected_tokens: int
    repeated: int  # documents with more than one copy
    warnings: list[str]


class Mixing(TypedDict, total=False):
    reason: str | None
    mode: str
    ess: EffectiveSize
    tolerance: dict[str, float]  # name -> value, such as asked, reached
    status: str  # converged, unreachable (some features), hopeless (base weights) or unchanged
    status_reason: str | None
    features: int  # that are balanced
    worst_features: list[Feature]
    unreachable: list[Feature]  # more than three standard errors off
    coverage: float | None  # share of documents that the reference covers
    cells: list[dict[str, object]] | None  # by kind of text: crawl's, reference's and target share, covered or not
    constraints: list[Constraint]
    floors: dict[str, Floor]  # by source
    retention: dict[str, float | None]  # share of weight kept by source (1 = as much as before)
    retention_by_language: dict[str, float | None]
    retention_by_group: dict[str, float | None]
    weights: WeightTable
    budget: Budget
    warnings: list[str]


class Stage(TypedDict, total=False):
    documents: int
    megabytes: float
    cpu_seconds: float
    wall_seconds: float
    peak_rss: int  # bytes


class Run(TypedDict, total=False):
    name: str  # what the page is called: the verb and the output folder
    output: str  # the output folder, for commands
    hashes: dict[str, str]
    versions: dict[str, str]
    stages: dict[str, Stage]
    warnings: list[str]


class Report(TypedDict, total=False):
    documents: Documents | None
    duplicates: Duplicates | None
    contamination: Contamination | None
    synthetic: Synthetic | None
    diversity: DiversitySection | None
    variance: VarianceSection | None
    mixing: Mixing | None
    run: Run | None
