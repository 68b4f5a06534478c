"""What balanced features are called in a report, so that a reader need not know the columns of the design matrix."""

import re

from curation.diversity import Ruler
from curation.kernels.hashing import word_hash

#: common English words; a ruler keeps only hashes, so its function words are found again among these
_COMMON = """
the to of and a in is that for it this as with be on are i you or by not an we from have was can if but at will they
which all one more has when their your so would also he his there other some use new like our time only what do may no
about these out up should than any my me him her she its us them who had been were could how into then just most such
over get people make because after used many first know two very where even now way data need see those much good work
"""


def readable(text: str, ruler: Ruler) -> str:
    """`text` with `function word 3` as the word in quotes and `n-gram bin 19` as `hashed n-grams, bin 19`.

    A function word of which the ruler holds only the hash keeps its number.
    """
    known = {word_hash(word): word for word in _COMMON.split()}

    def word(found: re.Match[str]) -> str:
        at = int(found[1])
        name = known.get(int(ruler.function_words[at])) if at < len(ruler.function_words) else None
        return f'function word "{name}"' if name else found[0]

    text = re.sub(r"\bfunction word (\d+)\b", word, text)
    return re.sub(r"\bn-gram bin (\d+)\b", r"hashed n-grams, bin \1", text)
