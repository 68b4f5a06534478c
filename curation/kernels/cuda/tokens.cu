// Tokens of a batch: the twin of tokenise_kernel in curation/kernels/tokens.py.
//
// The text is cut into segments of SEGMENT bytes wherever that falls, one for each thread. Where a token begins can be
// told from a few code points before it, so a thread looks back once, then reads on as the CPU does. The first kernel
// counts the tokens that begin in each segment; their running sum says where the second one writes. A thread follows
// the last token that begins in its segment to the end of that token.

enum { SEPARATOR, LETTER, DIGIT, SPACELESS, PUNCTUATION, APOSTROPHE, NEWLINE, IGNORED };
enum : u32 { OUTSIDE = 0, IN_WORD = 1, ALONE = 2, UNKNOWN = 0xFFFFFFFFu };  // groups; else the punctuation mark
enum { PLAIN = 128, LETTERS = 256 };

struct Point {
    int step;  // bytes
    int kind;  // class
    u32 code;
    u32 low;  // folded code point
};

// eight bytes of text in a register, so that a thread that reads on loads once in eight bytes
struct Text {
    const u8* data;
    i64 held = -1;
    u64 word = 0;
    INLINE u32 at(i64 i) {
        if (i >> 3 != held) {
            held = i >> 3;
            word = reinterpret_cast<const u64*>(data)[held];
        }
        return u32(word >> ((i & 7) * 8)) & 255;
    }
};

INLINE bool continues(u32 byte) { return (byte & 0xC0) == 0x80; }

INLINE Point beyond_bmp(u32 code) {
    int kind = SEPARATOR;
    if (code >= 0x20000 && code <= 0x3FFFF) kind = SPACELESS;
    else if (code <= 0x1CFFF || (code >= 0x1D400 && code <= 0x1D7FF) || (code >= 0x1E000 && code <= 0x1EFFF)) kind = LETTER;
    else if (code >= 0xE0000 && code <= 0xE01EF) kind = IGNORED;
    return {4, kind, code, code};
}

INLINE Point of_table(int step, u32 code, const u32* table) {
    u32 entry = table[code];  // class above 16 bits of the folded code point
    return {step, int(entry >> 16), code, entry & 0xFFFF};
}

// the code point at i; malformed bytes are separators, one by one
INLINE Point point_at(Text& text, i64 i, i64 end, const u32* table) {
    const Point malformed = {1, SEPARATOR, EVERY_LANE, 0};
    u32 b = text.at(i);
    if (b < 0x80) return of_table(1, b, table);
    if (b < 0xC2 || b > 0xF4 || i + 1 >= end || !continues(text.at(i + 1))) return malformed;
    u32 b1 = text.at(i + 1) & 0x3F;
    if (b < 0xE0) return of_table(2, (b & 0x1F) << 6 | b1, table);
    if (i + 2 >= end || !continues(text.at(i + 2))) return malformed;
    u32 b2 = text.at(i + 2) & 0x3F;
    if (b < 0xF0) {
        u32 code = (b & 0x0F) << 12 | b1 << 6 | b2;
        return code < 0x800 || (code >= 0xD800 && code <= 0xDFFF) ? malformed : of_table(3, code, table);
    }
    if (i + 3 >= end || !continues(text.at(i + 3))) return malformed;
    u32 code = (b & 0x07) << 18 | b1 << 12 | b2 << 6 | (text.at(i + 3) & 0x3F);
    return code < 0x10000 || code > 0x10FFFF ? malformed : beyond_bmp(code);
}

// where the code point begins that the byte at j belongs to
INLINE i64 start_of(Text& text, i64 begin, i64 j, i64 end, const u32* table) {
    for (i64 k = j; continues(text.at(k)) && k > begin && j - k < 3;) {
        k--;
        if (!continues(text.at(k))) return k + point_at(text, k, end, table).step > j ? k : j;
    }
    return j;
}

INLINE u32 group_of(const Point& point) {
    switch (point.kind) {
        case LETTER:
        case DIGIT: return IN_WORD;
        case PUNCTUATION: return point.low;
        case SPACELESS: return ALONE;
        default: return OUTSIDE;
    }
}

INLINE bool letter_at(Text& text, i64 i, i64 end, const u32* table) {
    if (i >= end) return false;
    Point point = point_at(text, i, end, table);
    return point.kind == LETTER && point.code < 0x10000;
}

// Group of the token that a code point at i would go on with. Ignored code points do not break a word and break all
// else. An apostrophe counts where it stands between a word and a letter; two in a row never do.
INLINE u32 group_before(Text& text, i64 begin, i64 i, i64 end, const u32* table) {
    bool broken = false, apostrophe = false;
    while (i > begin) {
        i = start_of(text, begin, i - 1, end, table);
        Point point = point_at(text, i, end, table);
        if (point.kind == IGNORED) {
            broken = true;
            continue;
        }
        u32 group = group_of(point);
        if (apostrophe || group == IN_WORD) return group == IN_WORD ? IN_WORD : OUTSIDE;
        if (point.kind != APOSTROPHE || !letter_at(text, i + point.step, end, table)) return broken ? OUTSIDE : group;
        apostrophe = true;
    }
    return OUTSIDE;
}

// Is the token at i, which no token of the line stands before, the first one of its line?
INLINE bool line_before(Text& text, i64 begin, i64 i, i64 end, const u32* table) {
    while (i > begin) {
        i = start_of(text, begin, i - 1, end, table);
        Point point = point_at(text, i, end, table);
        if (point.kind == NEWLINE) return true;
        if (group_of(point) != OUTSIDE) return false;
    }
    return true;
}

// the first document that starts at i or after it
INLINE i64 document_from(const i64* starts, i64 documents, i64 i) {
    i64 low = 0, high = documents;
    while (low < high) {
        i64 middle = (low + high) >> 1;
        if (starts[middle] < i) low = middle + 1;
        else high = middle;
    }
    return low;
}

// a token that grows
struct Token {
    u64 hash = 0;
    u32 flags = 0, length = 0;
    bool open = false, line = false;

    INLINE void begin(const Point& point, u32 group, bool first_of_line) {
        flags = point.kind == LETTER        ? WORD | LETTERS | (point.low == point.code ? PLAIN : UPPER)
                : point.kind == DIGIT       ? WORD | NUMBER
                : point.kind == PUNCTUATION ? PUNCT
                                            : WORD | CHAR;
        hash = (0xCBF29CE484222325ull ^ point.low) * 0x100000001B3ull;
        length = 1;
        line = first_of_line;
        open = true;
    }

    INLINE void grow(const Point& point, u32 group) {
        length++;
        if (group != IN_WORD) return;  // a run has the hash of its mark
        u32 more = point.kind == LETTER  ? LETTERS | (point.low == point.code ? PLAIN : 0)
                   : point.kind == DIGIT ? NUMBER
                                         : 0;
        flags |= more | (flags & more & LETTERS) >> 4;  // two letters: ALLCAPS until a plain one is seen
        hash = (hash ^ point.low) * 0x100000001B3ull;
    }

    INLINE void write(i64 place, u64* hashes, u8* kinds, u8* lengths) {
        if (!open) return;
        hashes[place] = mix64(hash);
        kinds[place] = u8(flags & 0xFF & ~(PLAIN | (flags & PLAIN) >> 3)) | (line ? LINE : 0);
        lengths[place] = u8(length < 255 ? length : 255);
        open = false;
    }
};

// The tokens that begin in a segment: counted, and with WRITE written from place `first` on.
template <bool WRITE>
INLINE i64 tokens_of(const u8* data, i64 size, const i64* starts, i64 documents, const u32* table, i64 segment,
                     i64 first, u64* hashes, u8* kinds, u8* lengths, i64* offsets) {
    Text text{data};
    i64 i = segment * SEGMENT, stop = i + SEGMENT < size ? i + SEGMENT : size, n = 0;
    i64 d = document_from(starts, documents, i);
    i64 begin = d > 0 ? starts[d - 1] : 0, end = starts[d];
    u32 before = UNKNOWN, line = UNKNOWN;
    Token token;
    if (end != i && start_of(text, begin, i, end, table) != i) {
        // the bytes of a code point that began before the segment
        i64 start = start_of(text, begin, i, end, table);
        i = start + point_at(text, start, end, table).step;
    }
    while (true) {
        if (i == end) {
            if (WRITE) token.write(first + n - 1, hashes, kinds, lengths);
            if (i >= stop) break;
            for (; starts[d] == i; d++)
                if (WRITE) offsets[d] = first + n;
            begin = i, end = starts[d];
            before = OUTSIDE, line = true;
        }
        if (i >= stop && !token.open) break;
        Point point = point_at(text, i, end, table);
        if (point.kind == IGNORED) {
            if (before != IN_WORD && before != UNKNOWN) {
                before = OUTSIDE;
                if (WRITE) token.write(first + n - 1, hashes, kinds, lengths);
            }
            i += point.step;
            continue;
        }
        if (before == UNKNOWN) before = group_before(text, begin, i, end, table);
        u32 group = group_of(point);
        if (point.kind == APOSTROPHE && before == IN_WORD && letter_at(text, i + point.step, end, table)) group = IN_WORD;
        if (point.kind == NEWLINE) line = true;
        if (group == OUTSIDE || group != before || group == ALONE) {
            if (WRITE) token.write(first + n - 1, hashes, kinds, lengths);
            if (i >= stop) break;
            if (group != OUTSIDE) {
                if (WRITE) {
                    if (line == UNKNOWN) line = line_before(text, begin, i, end, table);
                    token.begin(point, group, line);
                }
                n++;
            }
        } else if (WRITE && token.open) {
            token.grow(point, group);
        }
        if (group != OUTSIDE) line = false;
        before = group;
        i += point.step;
    }
    return n;
}

// data padded to a multiple of 8 bytes; starts[documents + 1], from 0 to size; table: class << 16 | folded code point
KERNEL tokens_count(const u8* data, i64 size, const i64* starts, i64 documents, const u32* table, int* counts) {
    i64 segment = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (segment * SEGMENT < size)
        counts[segment] = int(tokens_of<false>(data, size, starts, documents, table, segment, 0, 0, 0, 0, 0));
}

// ends: the running sum of counts, the segment's own included
KERNEL tokens_write(const u8* data, i64 size, const i64* starts, i64 documents, const u32* table, const int* counts,
                    const i64* ends, u64* hashes, u8* kinds, u8* lengths, i64* offsets) {
    i64 segment = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (segment * SEGMENT >= size) return;
    i64 first = ends[segment] - counts[segment];
    tokens_of<true>(data, size, starts, documents, table, segment, first, hashes, kinds, lengths, offsets);
    if ((segment + 1) * SEGMENT >= size)  // documents after the last byte, and the end
        for (i64 d = document_from(starts, documents, size); d <= documents; d++) offsets[d] = ends[segment];
}
