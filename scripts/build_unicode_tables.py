"""Write curation/text/unicode.npz: the class and the case folding of every code point of the BMP.

The tables are shipped rather than computed when imported, so that tokens (and with them signatures, scores and
statistics) do not depend on the Unicode version of the Python that runs.
"""

import sys
import unicodedata
from pathlib import Path

import numpy as np

SEPARATOR, LETTER, DIGIT, SPACELESS, PUNCTUATION, APOSTROPHE, NEWLINE, IGNORED = range(8)

#: punctuation that counts as a token, by its ASCII form; every other mark only separates
EMITTED = ".,;:!?()-/%$&+=[]{}<>@\\^"
FOLDED = {
    "\u2010": "-", "\u2011": "-", "\u2012": "-", "\u2013": "-", "\u2014": "-", "\u2015": "-", "\u2212": "-",
    "\u2026": ".", "\u3002": ".", "\uff0e": ".", "\uff0c": ",", "\u3001": ",", "\uff1b": ";", "\uff1a": ":",
    "\uff01": "!", "\uff1f": "?", "\uff08": "(", "\uff09": ")", "\u061f": "?", "\u060c": ",", "\u061b": ";",
    "\u0964": ".", "\u06d4": ".",
}
APOSTROPHES = "'\u2018\u2019\u02bc\uff07"
NEWLINES = "\n\r\u2028\u2029\u0085\u000b\u000c"

#: scripts written without spaces between words (inclusive ranges)
SPACELESS_RANGES = [
    (0x0E00, 0x0E7F), (0x0E80, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x19E0, 0x19FF),  # Thai Lao Myanmar Khmer
    (0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3021, 0x3029), (0x3040, 0x30FF), (0x31F0, 0x31FF),  # radicals, kana
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xAA60, 0xAA7F), (0xA9E0, 0xA9FF), (0xF900, 0xFAFF), (0xFF66, 0xFF9F),
]


def main() -> None:
    classes = np.zeros(65536, np.uint8)
    folding = np.arange(65536, dtype=np.uint16)
    spaceless = np.zeros(65536, bool)
    for first, last in SPACELESS_RANGES:
        spaceless[first : last + 1] = True
    for point in range(65536):
        char, category = chr(point), unicodedata.category(chr(point))
        lower = char.lower()
        if len(lower) == 1 and ord(lower) < 65536:
            folding[point] = ord(lower)
        if char in NEWLINES:
            classes[point] = NEWLINE
        elif char in APOSTROPHES:
            classes[point], folding[point] = APOSTROPHE, ord("'")
        elif char in EMITTED or char in FOLDED:
            classes[point], folding[point] = PUNCTUATION, ord(FOLDED.get(char, char))
        elif category == "Nd":
            classes[point] = DIGIT
        elif spaceless[point] and category[0] in "LMN":
            classes[point] = SPACELESS
        elif category[0] in "LM" or category in ("Nl", "No"):
            classes[point] = LETTER
        elif category == "Cf":
            classes[point] = IGNORED
    target = Path(__file__).parents[1] / "curation" / "text" / "unicode.npz"
    shift = folding - np.arange(65536, dtype=np.uint16)  # wraps around; mostly zero, so it compresses well
    np.savez_compressed(target, classes=classes, shift=shift)
    print(f"{target.name}: Unicode {unicodedata.unidata_version}, {target.stat().st_size} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
