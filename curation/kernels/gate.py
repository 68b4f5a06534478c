"""Counts over bytes and lines that tell prose from code, tables, lists and maths, in one pass."""

import numpy as np
from numba import njit

READ = 16_384  # bytes of a document that are looked at

(
    BYTES,  # other than white space
    LETTERS,  # ASCII letters and bytes of other scripts
    DIGITS,
    MATHS,  # \commands and $
    LINES,  # that are not blank
    CODE_BYTES,  # bytes of lines that look like code
    TABLE_BYTES,  # bytes of lines of several columns
    LIST_LINES,  # lines that are items
    LIST_BYTES,
    SENTENCES,  # . ! ? followed by white space or the end, after a letter
    SHORT_LINES,  # lines of at most 40 bytes that do not end as a sentence does
    SCRIPT,  # first bytes of characters of scripts other than Latin
    JOINTS,  # signs of a name of a program: f( a.b a_b aB a:: ->
    COMMENT_BYTES,  # bytes of lines that open as comments of programs do
    INDENT_BYTES,  # bytes of lines that begin with four spaces or more
    ROW_BYTES,  # bytes of lines with as many separators of columns as the line before
    COUNTS,
) = range(17)

# what a byte is: 1 letter, 2 digit, 3 sign common in code and rare in prose, 4 white space, 0 other
_KIND = np.zeros(256, np.uint8)
_KIND[[*range(65, 91), *range(97, 123), *range(128, 256)]] = 1
_KIND[48:58] = 2
_KIND[[ord(c) for c in "{}[];=<>\\^~|&+$_@%"]] = 3
_KIND[[9, 10, 11, 12, 13, 32]] = 4


@njit(inline="always")
def _column_marks(data, begin, end):
    """(separators of columns, bars and tabs among them) inside a stripped line; the others are commas and
    semicolons without a space after them and wide gaps."""
    marks = bars = gap = 0
    for i in range(begin, end):
        c = data[i]
        if c == 32:
            gap += 1
            continue
        if gap >= 3:
            marks += 1
        gap = 0
        if c in (9, 124):
            bars += 1
        elif c in (44, 59) and i + 1 < end and data[i + 1] != 32:
            marks += 1
    return marks + bars, bars


@njit(inline="always")
def _separators(data, begin, end):
    """Bars, tabs, gaps and commas outside quotation marks in a stripped line: a number that lines of a table
    share, and that is above 1 for them."""
    bars = tabs = gaps = commas = gap = 0
    quoted = False
    for i in range(begin, end):
        c = data[i]
        if c == 32:
            gap += 1
            continue
        if gap >= 2:
            gaps += _KIND[data[i - gap - 1]] != 0 or data[i - gap - 1] == 44 or data[i - gap - 1] == 41
        gap = 0
        if c == 124:
            bars += 1
        elif c == 9:
            tabs += 1
        elif c == 34:
            quoted = not quoted
        elif (c == 44 or c == 59) and not quoted:
            commas += 1
    return bars, tabs, gaps, commas


@njit(inline="always")
def _is_comment(data, begin, end, indent, hashed):
    """A line that opens with // /* */ >>> or quotes of a docstring, an indented *, or # after another #."""
    if end - begin < 2:
        return False
    c, second = data[begin], data[begin + 1]
    if c == 47:
        return second == 47 or second == 42
    if c == 42:
        return second == 47 or (indent % 2 == 1 and second == 32)
    if c == 35:
        return hashed
    third = data[begin + 2] if end - begin > 2 else 0
    return (c == 62 and second == 62 and third == 62) or (c == 34 and second == 34 and third == 34)


@njit(inline="always")
def _is_item(data, begin, end):
    """A line that opens with a bullet or a number: `- x`, `* x`, `3. x`, `b) x`."""
    if end - begin < 3:
        return False
    c = data[begin]
    if c in (42, 43, 45) and data[begin + 1] == 32:
        return True
    if c == 0xE2 and end - begin > 3 and data[begin + 1] == 0x80 and data[begin + 2] == 0xA2:
        return True
    i = begin
    while i < end and i < begin + 3 and 48 <= data[i] <= 57:
        i += 1
    if i == begin and (97 <= c <= 122 or 65 <= c <= 90):
        i += 1
    return begin < i < end - 1 and data[i] in (41, 46) and data[i + 1] == 32


@njit(nogil=True, cache=True)
def gate_kernel(data, starts, counts):
    """Count the first 16 kB of each document; data uint8, starts int64[docs + 1], counts int64[docs, COUNTS],
    zero."""
    for d in range(len(starts) - 1):
        row = counts[d]
        i, stop = starts[d], min(starts[d + 1], starts[d] + READ)
        columns_before = (0, 0, 0, 0)
        hashed = False
        while i < stop:
            begin = i
            while i < stop and data[i] != 10:
                i += 1
            end = i
            i += 1
            indent = 0
            while begin < end and _KIND[data[begin]] == 4:
                indent += 4 if data[begin] == 9 else 1
                begin += 1
            while end > begin and _KIND[data[end - 1]] == 4:
                end -= 1
            if begin == end:
                continue
            signs = letters = digits = black = calls = sentences = joints = 0
            for j in range(begin, end):
                c = data[j]
                kind = _KIND[c]
                if kind == 4:
                    continue
                black += 1
                before = _KIND[data[j - 1]] if j > begin else 4
                if kind == 1:
                    letters += 1
                    if 65 <= c <= 90 and j > begin and 97 <= data[j - 1] <= 122:
                        joints += 1
                    if 0xCD <= c <= 0xEF and c != 0xE2:
                        row[SCRIPT] += 1
                elif kind == 2:
                    digits += 1
                elif kind == 3:
                    signs += 1
                    if (c == 95 and before == 1) or (c == 62 and j > begin and data[j - 1] == 45):
                        joints += 1
                    # \word is a command (\n is not), and $ before anything but a digit opens or closes a
                    # formula
                    if (c == 92 and j + 2 < end and _KIND[data[j + 1]] == 1 and _KIND[data[j + 2]] == 1) or (
                        c == 36 and not (j + 1 < end and _KIND[data[j + 1]] == 2)
                    ):
                        row[MATHS] += 1
                elif c == 40 and before == 1:
                    calls += 1  # f(
                elif c == 46 and 1 <= before <= 2 and j + 1 < end and _KIND[data[j + 1]] == 1:
                    calls += 1  # a.b
                elif c == 58 and j > begin and data[j - 1] == 58:
                    joints += 1
                elif c in (33, 46, 63) and before != 4 and (j + 1 == end or _KIND[data[j + 1]] == 4):
                    sentences += 1
            last = data[end - 1]
            code = 0
            if last in (59, 123, 125):  # ; { }
                code += 2
            elif indent >= 2 and last in (40, 41, 44, 58, 91, 93):  # ( ) , : [ ]
                code += 1
            if signs * 25 >= black * 2 and signs >= 2:
                code += 2
            elif signs * 50 >= black and signs >= 1:
                code += 1
            if calls * 40 >= black:
                code += 1
            if indent >= 4 and sentences == 0:
                code += 1
            if end - begin >= 2 and ((data[begin] == 47 and data[begin + 1] == 47) or data[begin] == 64):
                code += 1  # // and @
            item = _is_item(data, begin, end)
            marks, bars = _column_marks(data, begin, end)
            columns = sentences == 0 and marks >= 2 and (marks * 25 >= end - begin or digits * 4 >= black)
            if columns or (sentences == 0 and digits * 5 >= black * 2):
                row[TABLE_BYTES] += black
            if code >= 2 and not item and not (columns and bars >= 2):
                row[CODE_BYTES] += black
            separators = _separators(data, begin, end)
            for k in range(4):
                if separators[k] >= 2 and separators[k] == columns_before[k]:
                    row[ROW_BYTES] += black
                    break
            columns_before = separators
            if _is_comment(data, begin, end, indent, hashed):
                row[COMMENT_BYTES] += black
            hashed = data[begin] == 35
            if indent >= 4:
                row[INDENT_BYTES] += black
            row[JOINTS] += joints + calls
            row[BYTES] += black
            row[LETTERS] += letters
            row[DIGITS] += digits
            row[LINES] += 1
            row[SENTENCES] += sentences
            if item:
                row[LIST_LINES] += 1
                row[LIST_BYTES] += black
            if end - begin <= 40 and last not in (33, 46, 63, 34):
                row[SHORT_LINES] += 1


@njit(nogil=True, cache=True)
def vocabulary_kernel(hashes, kinds, offsets, word_bit, keys, classes, counts):
    """Count tokens by class; keys uint64[2^n] is an open-addressed table, classes uint8 beside it (0 means
    free).

    counts int64[docs, 5], zero: words, then words of classes 1, 2, 3 and 4. Reads the
    first 4,096 tokens of a document.
    """
    mask = np.uint64(len(keys) - 1)
    for d in range(len(offsets) - 1):
        row = counts[d]
        for t in range(offsets[d], min(offsets[d + 1], offsets[d] + 4096)):
            if not kinds[t] & word_bit:
                continue
            row[0] += 1
            slot = hashes[t] & mask
            while classes[slot] != 0:
                if keys[slot] == hashes[t]:
                    row[classes[slot]] += 1
                    break
                slot = (slot + np.uint64(1)) & mask
