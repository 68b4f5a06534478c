"""Counts over bytes and lines that tell prose from code, tables, lists and maths.

The bytes of a document become bit masks, 64 bytes at a time: which are letters, which are marks, and by shifts of these
which letter follows which mark. A line is a stretch of bits, and its counts are counts of bits.
"""

import numpy as np
from numba import njit

from curation.kernels.vectors import LANES, bit_count, equal_to, having, lowest_bit

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
    JOINTS,  # signs of a name of a program: f( a.b a_b aB :: ->
    COMMENT_BYTES,  # bytes of lines that are comments of programs
    INDENT_BYTES,  # bytes of lines that begin with four spaces or more
    ROW_BYTES,  # bytes of lines with as many separators of columns as the line before
    COUNTS,
) = range(17)

# what a byte is inside the kernel: one bit each
_LETTER, _UPPER, _LOWER, _DIGIT, _SIGN, _WHITE, _SCRIPT, _STOP = (np.uint8(1 << bit) for bit in range(8))
_BYTES = np.zeros(256, np.uint8)
_BYTES[[*range(65, 91), *range(97, 123), *range(128, 256)]] = _LETTER
_BYTES[65:91] |= _UPPER
_BYTES[97:123] |= _LOWER
_BYTES[0xCD:0xF0] |= _SCRIPT  # first bytes of characters of scripts other than Latin
_BYTES[0xE2] &= ~_SCRIPT
_BYTES[48:58] = _DIGIT
_BYTES[[ord(c) for c in "{}[];=<>\\^~|&+$_@%"]] = _SIGN  # common in code and rare in prose
_BYTES[[9, 10, 11, 12, 13, 32]] = _WHITE
_BYTES[[ord(c) for c in ".!?"]] = _STOP

# masks of a document that its lines are counted by
_BLACK, _DIGITS, _SIGNS, _CALLS, _ENDS, _TIGHT, _GAPS, _WIDE, _TABS, _BARS, _COMMAS, _QUOTES, _BREAKS = range(13)
_MASKS = 13
_WORDS = READ // LANES
_ONE, _TWO, _LAST, _ALL = np.uint64(1), np.uint64(2), np.uint64(63), np.uint64(0xFFFFFFFFFFFFFFFF)


@njit(inline="always")
def _after(mask, before):
    """The bits whose neighbour to the left is set; before: the mask of the 64 bytes before."""
    return (mask << _ONE) | (before >> _LAST)


@njit(inline="always")
def _ahead(mask, behind):
    """The bits whose neighbour to the right is set; behind: the mask of the 64 bytes behind."""
    return (mask >> _ONE) | (behind << _LAST)


@njit(inline="always")
def _classes(codes, base):
    """Masks of letters, white space and digits of 64 bytes, of which their neighbours need to know."""
    return having(codes, base, _LETTER), having(codes, base, _WHITE), having(codes, base, _DIGIT)


@njit(nogil=True, cache=True)
def _mask_kernel(data, first, size, text, codes, masks, row):
    """Fill masks uint64[_MASKS, _WORDS + 1] for the bytes data[first:first + size]; count in row what needs no lines.

    text, codes uint8[READ + 2 * LANES]: room for the bytes and what they are.
    """
    part = data[first : first + size]
    for k in range(size):
        text[k] = part[k]
        codes[k] = _BYTES[part[k]]
    text[size : size + 2 * LANES] = 10
    codes[size : size + 2 * LANES] = _WHITE
    letters, white, digits = _classes(codes, 0)
    spaces = equal_to(text, 0, np.uint8(32))
    letters_before = digits_before = spaces_before = lower_before = np.uint64(0)
    minus_before = colons_before = np.uint64(0)
    white_before = _ALL
    for word in range((size + LANES - 1) // LANES):
        base = word * LANES
        letters_behind, white_behind, digits_behind = _classes(codes, base + LANES)
        spaces_behind = equal_to(text, base + LANES, np.uint8(32))
        left_letter, right_letter = _after(letters, letters_before), _ahead(letters, letters_behind)
        right_white, right_space = _ahead(white, white_behind), _ahead(spaces, spaces_behind)
        upper, lower = having(codes, base, _UPPER), having(codes, base, _LOWER)
        stops = having(codes, base, _STOP)
        dots = equal_to(text, base, np.uint8(46))
        commas = equal_to(text, base, np.uint8(44)) | equal_to(text, base, np.uint8(59))
        minus, colons = equal_to(text, base, np.uint8(45)), equal_to(text, base, np.uint8(58))
        two = spaces & _after(spaces, spaces_before)
        three = two & ((spaces << _TWO) | (spaces_before >> np.uint64(62)))
        masks[_BLACK, word] = ~white
        masks[_DIGITS, word] = digits
        masks[_SIGNS, word] = having(codes, base, _SIGN)
        masks[_CALLS, word] = (equal_to(text, base, np.uint8(40)) & left_letter) | (
            dots & (left_letter | _after(digits, digits_before)) & right_letter
        )
        masks[_ENDS, word] = stops & ~_after(white, white_before) & right_white
        masks[_TIGHT, word] = commas & ~right_space
        masks[_GAPS, word] = two & ~right_space
        masks[_WIDE, word] = three & ~right_space
        masks[_TABS, word] = equal_to(text, base, np.uint8(9))
        masks[_BARS, word] = equal_to(text, base, np.uint8(124))
        masks[_COMMAS, word] = commas
        masks[_QUOTES, word] = equal_to(text, base, np.uint8(34))
        masks[_BREAKS, word] = equal_to(text, base, np.uint8(10))
        joints = (upper & _after(lower, lower_before)) | (equal_to(text, base, np.uint8(95)) & left_letter)
        joints |= equal_to(text, base, np.uint8(62)) & _after(minus, minus_before)
        joints |= colons & _after(colons, colons_before)
        # \\word is a command (\\n is not), and $ before anything but a digit opens or closes a formula
        second = (letters >> _TWO) | (letters_behind << np.uint64(62))
        maths = equal_to(text, base, np.uint8(92)) & right_letter & second
        maths |= equal_to(text, base, np.uint8(36)) & ~_ahead(digits, digits_behind)
        row[LETTERS] += bit_count(letters)
        row[SCRIPT] += bit_count(having(codes, base, _SCRIPT))
        row[JOINTS] += bit_count(joints)
        row[MATHS] += bit_count(maths)
        letters_before, letters, white_before, white = letters, letters_behind, white, white_behind
        digits_before, digits = digits, digits_behind
        spaces_before, spaces = spaces, spaces_behind
        lower_before, minus_before, colons_before = lower, minus, colons


@njit(inline="always")
def _range(word, begin, end):
    """The bits of a word that stand for the bytes begin to end."""
    low = np.uint64(max(begin - word * LANES, 0))
    high = np.uint64(max((word + 1) * LANES - end, 0))
    return (_ALL << low) & (_ALL >> high)


@njit(inline="always")
def _true_gaps(text, masks, begin, end):
    """Gaps of two blanks or more that do not follow a mark: those after a full stop are a habit of typists."""
    gaps = 0
    for word in range(begin // LANES, (end - 1) // LANES + 1):
        left = masks[_GAPS, word] & _range(word, begin, end)
        while left != 0:
            i = word * LANES + lowest_bit(left)
            left &= left - _ONE
            while text[i] == 32:
                i -= 1
            before = text[i]
            gaps += _BYTES[before] & ~_STOP != 0 or before == 44 or before == 41
    return gaps


@njit(inline="always")
def _free_commas(masks, begin, end):
    """Commas and semicolons outside of quotation marks."""
    commas, quoted = 0, False
    for word in range(begin // LANES, (end - 1) // LANES + 1):
        within = _range(word, begin, end)
        quotes = masks[_QUOTES, word] & within
        left = (masks[_COMMAS, word] & within) | quotes
        while left != 0:
            bit = left & (~left + _ONE)
            left ^= bit
            if quotes & bit:
                quoted = not quoted
            elif not quoted:
                commas += 1
    return commas


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
def _closes(data, begin, end):
    """A line that ends with the */ of a comment which began on an earlier one."""
    if end - begin < 2 or data[end - 2] != 42 or data[end - 1] != 47:
        return False
    opened = False
    for i in range(begin, end - 2):
        opened |= data[i] == 47 and data[i + 1] == 42
    return not opened


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
    text, codes = np.empty(READ + 2 * LANES, np.uint8), np.empty(READ + 2 * LANES, np.uint8)
    masks = np.empty((_MASKS, _WORDS + 1), np.uint64)
    found = np.empty(_MASKS, np.int64)
    for d in range(len(starts) - 1):
        size = min(starts[d + 1] - starts[d], READ)
        if size > 0:
            _mask_kernel(data, starts[d], size, text, codes, masks, counts[d])
            _line_kernel(text, codes, size, masks, found, counts[d])


@njit(nogil=True, cache=True)
def _line_kernel(text, codes, size, masks, found, row):
    """Count in row what the lines of text[:size] are; found int64[_MASKS]: room for the counts of a line."""
    bars_before, tabs_before, gaps_before, commas_before = 0, 0, 0, 0
    hashed = starred = inside = False
    word, stop = 0, 0
    left = masks[_BREAKS, 0]
    words = (size + LANES - 1) // LANES
    while stop < size:
        begin = stop
        while left == 0 and word + 1 < words:
            word += 1
            left = masks[_BREAKS, word]
        end = min(word * LANES + lowest_bit(left), size)
        left &= left - _ONE
        stop = end + 1
        indent = 0
        while begin < end and codes[begin] == _WHITE:
            indent += 4 if text[begin] == 9 else 1
            begin += 1
        while end > begin and codes[end - 1] == _WHITE:
            end -= 1
        if begin == end:
            continue
        found[:] = 0
        for w in range(begin // LANES, (end - 1) // LANES + 1):
            within = _range(w, begin, end)
            for mask in range(_QUOTES):
                found[mask] += bit_count(masks[mask, w] & within)
        black, digits, signs, calls = found[_BLACK], found[_DIGITS], found[_SIGNS], found[_CALLS]
        sentences, bars, tabs = found[_ENDS], found[_BARS], found[_TABS]
        last = text[end - 1]
        code = 0
        if last == 59 or last == 123 or last == 125:  # ; { }
            code += 2
        elif indent >= 2 and (last == 40 or last == 41 or last == 44 or last == 58 or last == 91 or last == 93):
            code += 1  # ( ) , : [ ]
        if signs * 25 >= black * 2 and signs >= 2:
            code += 2
        elif signs * 50 >= black and signs >= 1:
            code += 1
        if calls * 40 >= black:
            code += 1
        if indent >= 4 and sentences == 0:
            code += 1
        if end - begin >= 2 and ((text[begin] == 47 and text[begin + 1] == 47) or text[begin] == 64):
            code += 1  # // and @
        item = _is_item(text, begin, end)
        # separators of columns: commas without a blank after them, gaps of three blanks, bars and tabs
        final = (masks[_TIGHT, (end - 1) // LANES] >> np.uint64((end - 1) % LANES)) & _ONE
        marks = found[_TIGHT] - np.int64(final) + found[_WIDE] + bars + tabs
        columns = sentences == 0 and marks >= 2 and (marks * 25 >= end - begin or digits * 4 >= black)
        if columns or (sentences == 0 and digits * 5 >= black * 2):
            row[TABLE_BYTES] += black
        if code >= 2 and not item and not (columns and bars + tabs >= 2):
            row[CODE_BYTES] += black
        # a number of separators that the lines of a table share, and that is above 1 for them
        gaps = _true_gaps(text, masks, begin, end) if found[_GAPS] else 0
        commas = _free_commas(masks, begin, end) if found[_COMMAS] else 0
        same = (bars >= 2 and bars == bars_before) or (tabs >= 2 and tabs == tabs_before)
        same = same or (gaps >= 2 and gaps == gaps_before) or (commas >= 2 and commas == commas_before)
        if same:
            row[ROW_BYTES] += black
        bars_before, tabs_before, gaps_before, commas_before = bars, tabs, gaps, commas
        if _closes(text, begin, end):
            # an end without a beginning: what there was of the document began inside of the comment
            row[COMMENT_BYTES] = row[COMMENT_BYTES] + black if inside else row[BYTES] + black
            inside = False
        else:
            starred_now = text[begin] == 42 and end - begin >= 2 and text[begin + 1] == 42
            starred_now = starred_now and (end - begin == 2 or text[begin + 2] == 32)
            opens = end - begin >= 2 and text[begin] == 47 and text[begin + 1] == 42
            inside = inside or (opens and not (text[end - 2] == 42 and last == 47))
            if inside or (starred and starred_now) or _is_comment(text, begin, end, indent, hashed):
                row[COMMENT_BYTES] += black
            starred = starred_now
        hashed = text[begin] == 35
        if indent >= 4:
            row[INDENT_BYTES] += black
        row[JOINTS] += calls
        row[BYTES] += black
        row[DIGITS] += digits
        row[LINES] += 1
        row[SENTENCES] += sentences
        if item:
            row[LIST_LINES] += 1
            row[LIST_BYTES] += black
        if end - begin <= 40 and not (last == 33 or last == 46 or last == 63 or last == 34):
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
