"""Two kinds of simple English without a corpus."""

import numpy as np

NAMES = ("the cat", "a dog", "my aunt", "the old man", "Mary", "every child", "the doctor", "his brother")
ACTS = ("saw", "wanted", "found", "gave away", "painted", "lost", "never liked", "asked for")
THINGS = ("the house", "some bread", "a letter", "two apples", "the garden", "an answer", "her hat", "the river")
PLACES = ("in the morning", "by the sea", "after dinner", "without a word", "at last", "with care", "in town", "once")


def story(seed: int, sentences: int) -> str:
    """Plain sentences; another order of words for every seed."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(sentences):
        name, act, thing, place = (part[rng.integers(len(part))] for part in (NAMES, ACTS, THINGS, PLACES))
        text = f"{name} {act} {thing}" + (f", {place}" if rng.random() < 0.5 else "")
        found.append(text[0].upper() + text[1:] + (" ." if rng.random() < 0.2 else "."))
    return " ".join(found)
