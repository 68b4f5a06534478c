"""The sections of the configuration that concern duplicates, repeated lines and benchmark text."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

#: values that `dedup.preset` stands for
PRESETS: dict[str, dict[str, float]] = {
    "default": {"bands": 14, "rows": 8, "ngram": 5, "verify": 0.70},
    "fineweb": {"bands": 14, "rows": 8, "ngram": 5, "verify": 0.75},
    "nemo": {"bands": 20, "rows": 13, "ngram": 5, "verify": 0.80},
    "strict": {"bands": 9, "rows": 13, "ngram": 5, "verify": 0.90},
}
LEAST_RECALL = 0.5  # of pairs at the threshold of verification, below which bands and rows do not fit it


def candidate_probability(similarity: float, bands: int, rows: int) -> float:
    """The probability 1 - (1 - s^rows)^bands that two documents of Jaccard similarity s are compared."""
    return 1.0 - (1.0 - similarity**rows) ** bands


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Lines(Section):
    enabled: bool = Field(False, description="look for lines or paragraphs that many documents share")
    unit: Literal["line", "paragraph"] = Field("paragraph", description="what is counted")
    max_repeats: int = Field(10, ge=1, description="documents in which a unit may occur")
    action: Literal["remove", "annotate"] = Field(
        "remove", description="cut repeated units, or add the column repeated_spans"
    )
    min_chars: int = Field(20, ge=1, description="shorter units are left alone")


class Dedup(Section):
    enabled: bool = Field(True, description="remove duplicates")
    preset: Literal["default", "fineweb", "nemo", "strict"] | None = Field(
        None, description="bands, rows, ngram and verify by name"
    )
    exact: bool = Field(True, description="documents whose words are equal")
    equal: Literal["words", "text"] = Field(
        "words", description="what exact compares: words, or bytes of the text, which without near needs no words"
    )
    near: bool = Field(True, description="near-duplicates by MinHash")
    url: bool = Field(False, description="documents with the same canonical URL; needs columns.url")
    bands: int = Field(14, ge=1, le=256, description="LSH bands")
    rows: int = Field(8, ge=1, le=64, description="minima in each band")
    ngram: int = Field(5, ge=1, le=32, description="words in a shingle")
    verify: float = Field(0.70, ge=0, le=1, description="least Jaccard similarity for a merge")
    verify_by: Literal["minhash", "shingles"] = Field(
        "minhash",
        description="similarity as the minima estimate it, or counted on the shingles of candidates, read again",
    )
    keep: str = Field(
        "human_first",
        description="which document of a cluster survives: human_first, longest, earliest, first, column:NAME:desc or "
        "column:NAME:asc",
    )
    prefer: list[str] = Field(
        default_factory=list,
        description="sources whose documents are decided first, in this order; others leave for them",
    )
    action: Literal["remove", "keep"] = Field(
        "remove", description="remove duplicates, or keep all and share the weight of a cluster among them"
    )
    max_bucket: int = Field(1000, ge=2, description="larger buckets are split before they are compared")
    memory_mb: int = Field(64, ge=16, description="memory for the hashes of a shuffle; more go to temporary files")
    seed: int = Field(1, description="seed of the permutations")
    lines: Lines = Field(default_factory=Lines)

    @property
    def identity(self) -> str:
        """What equal documents share: words, or text."""
        return self.equal if self.enabled and self.exact else "words"

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, data: Any) -> Any:
        name = data.get("preset") if isinstance(data, dict) else None
        if name not in PRESETS:
            return data
        for key, value in PRESETS[name].items():
            if data.get(key, value) != value:
                raise ValueError(
                    f"preset {name} means {key} {value:g}, but {key} is {data[key]}: leave one of them out "
                    f"(the preset is {', '.join(f'{k} {v:g}' for k, v in PRESETS[name].items())})"
                )
        return {**data, **PRESETS[name]}

    @field_validator("keep")
    @classmethod
    def _known_policy(cls, value: str) -> str:
        from curation.dedup.keep import POLICIES, is_policy

        if not is_policy(value):
            raise ValueError(f"use {', '.join(POLICIES)}, column:NAME:desc or column:NAME:asc, not {value!r}")
        return value

    @field_validator("prefer")
    @classmethod
    def _preferred_once(cls, value: list[str]) -> list[str]:
        twice = [name for name in value if value.count(name) > 1]
        if twice:
            raise ValueError(f"source {twice[0]!r} stands there twice: name each source once")
        return value

    @model_validator(mode="after")
    def _bands_reach_the_threshold(self) -> "Dedup":
        found = candidate_probability(self.verify, self.bands, self.rows)
        if not self.enabled or not self.near or found >= LEAST_RECALL:
            return self
        raise ValueError(
            f"{self.bands} bands of {self.rows} rows compare only {found:.1%} of the pairs at verify {self.verify:g} "
            f"(1 - (1 - s^rows)^bands), so most of what is asked for would not be found: {self._way_out()}"
        )

    def _way_out(self) -> str:
        total = self.bands * self.rows
        ways = []
        for rows in range(self.rows, 0, -1):
            bands = max(1, total // rows)
            share = candidate_probability(self.verify, bands, rows)
            if share >= 0.75 and bands <= 256:
                ways.append(f"bands={bands} rows={rows} compare {share:.0%} with as many permutations")
                break
        name = min(PRESETS, key=lambda name: abs(PRESETS[name]["verify"] - self.verify))
        ways.append(f"the nearest preset is {name} (verify {PRESETS[name]['verify']:g})")
        return "; ".join(ways)


class Decontaminate(Section):
    paths: list[str] = Field(default_factory=list, description="benchmark files, folders or globs of any known format")
    text: str = Field("text", description="column of the benchmark text")
    ngram: int = Field(13, ge=1, le=64, description="words in a run that counts as shared")
    overlap: float = Field(
        0.0, ge=0, le=1, description="least share of a benchmark document's runs; 0: a single shared run is enough"
    )
    action: Literal["drop", "mark"] = Field("drop", description="exclude, or only add the columns contaminated_*")
