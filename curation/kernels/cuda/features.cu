// Style features: the twin of features_kernel in curation/kernels/features.py, a warp for each document.
//
// The warp reads 32 tokens at a time. What the CPU carries from token to token becomes a question about masks: where the
// last word, the last end of a sentence or the last break stands below a lane. Counters of one bit are counted by
// ballots, rarer ones by atomics in shared memory, and sums by lane until the document ends. All are integers; the
// scalars are made of them on the CPU (scalars_kernel), so no logarithm of the device reaches a signal.

enum { SLOTS = 512 };  // of the set of words of the window

KERNEL features(const u64* hashes, const u8* kinds, const u8* lengths, const i64* offsets, i64 documents, i64 limit,
                const u8* unigram, i64 unigram_mask, const u16* bigram, i64 bigram_mask, i64 tail_from,
                const u64* keys, const u16* values, i64 key_mask, const u64* phrase_keys, const u8* phrase_values,
                i64 phrase_mask, const i64* class_column, const i64* opener_column, u16* style, u16* words, u16* bins,
                i64* sums) {
    __shared__ u64 all_slots[WARPS][SLOTS];
    __shared__ u32 all_seen[WARPS][SLOTS], all_bins[WARPS][256], all_words[WARPS][64], all_counts[WARPS][64];
    const int warp = threadIdx.x >> 5, lane = lane_index();
    const i64 document = i64(blockIdx.x) * WARPS + warp;
    if (document >= documents) return;
    u64* slots = all_slots[warp];
    u32 *seen = all_seen[warp], *bin = all_bins[warp], *word_counts = all_words[warp], *counts = all_counts[warp];
    for (int i = lane; i < SLOTS; i += 32) slots[i] = 0, seen[i] = 0;
    for (int i = lane; i < 256; i += 32) bin[i] = 0;
    for (int i = lane; i < 64; i += 32) word_counts[i] = 0, counts[i] = 0;
    __syncwarp();

    const i64 start = offsets[document], stop = offsets[document + 1];
    const i64 end = stop - start > limit ? start + limit : stop;
    u64 p1 = 0, p2 = 0, p3 = 0, last_word = 0;   // tokens and the word before the group
    u32 words_before = 0, words_at_break = 0;    // words of the document before the group, and before its last break
    bool ended = false;                          // a sentence has ended and nothing has begun
    u32 zero_words = 0;                          // words of hash 0 in the window, for which the set has no slot
    // counted alike in every lane
    u32 lines = 0, list_lines = 0, numbers = 0, capitalised = 0, allcaps = 0, spaceless = 0, long_words = 0;
    u32 short_words = 0, repeated = 0, contractions = 0, tail = 0, novel = 0, pairs = 0, functions = 0;
    // summed by lane
    u32 sentences = 0, short_sentences = 0, long_sentences = 0;
    u64 length_sum = 0, length_squares = 0, characters = 0, character_squares = 0, s1 = 0, s2 = 0, bigram_sum = 0;

    for (i64 base = start; base < end; base += 32) {
        const i64 t = base + lane;
        const bool live = t < end, follows = live && t > start;
        const u64 h = live ? hashes[t] : 0;
        const u32 kind = live ? kinds[t] : 0, length = live ? lengths[t] : 0;
        const u64 x1 = shifted(h, 1, p1), x2 = shifted(h, 2, p1, p2), x3 = shifted(h, 3, p1, p2, p3);
        const u64 g = follows ? pair_hash(x1, h) : 0;
        if (live) atomicAdd(&bin[h >> 56], 1u);
        if (follows) atomicAdd(&bin[g >> 56], 1u);
        const u32 entry = live ? lookup(keys, values, u32(key_mask), h) : 0;
        const u32 code = entry >> CLASS_SHIFT & CLASS_MASK;
        const bool word = kind & WORD, mark = live && !word;

        const u32 word_mask = ballot(word), end_mask = ballot(mark && code >= PERIOD && code <= EXCLAMATION);
        const u32 begin_mask = ballot(kind & (UPPER | LINE | CHAR));
        const u32 lower = lower_lanes(), settled = (word_mask | end_mask | begin_mask) & lower;
        const bool ended_before = settled ? end_mask >> highest(settled) & 1 : ended;
        const u32 break_mask = ballot(ended_before && kind & (UPPER | LINE | CHAR));
        // words before the last break below a lane, and before the last one that may be the lane's own
        const u32 words_here = words_before + __popc(word_mask & lower);
        const u32 below = break_mask & lower, upto = break_mask & (lower | 1u << lane);
        const u32 from_below = below ? words_before + __popc(word_mask & ((1u << highest(below)) - 1)) : words_at_break;
        const u32 from = upto ? words_before + __popc(word_mask & ((1u << highest(upto)) - 1)) : words_at_break;
        const u32 sentence = words_here - from_below;
        if (break_mask >> lane & 1 && sentence > 0) {
            sentences++;
            short_sentences += sentence <= SHORT_SENTENCE;
            long_sentences += sentence >= LONG_SENTENCE;
            length_sum += sentence;
            length_squares += u64(sentence) * sentence;
        }

        lines += __popc(ballot(kind & LINE));
        list_lines += __popc(ballot(kind & LINE && (kind & NUMBER || code == DASH)));
        numbers += __popc(ballot(word && kind & NUMBER));
        capitalised += __popc(ballot(word && kind & UPPER));
        allcaps += __popc(ballot(word && kind & ALLCAPS));
        spaceless += __popc(ballot(word && kind & CHAR));
        long_words += __popc(ballot(word && length >= LONG_WORD));
        short_words += __popc(ballot(word && length <= SHORT_WORD));
        contractions += __popc(ballot(word && entry & CONTRACTION));
        const u32 function = word ? entry & FUNCTION_MASK : 0;
        functions += __popc(ballot(function));
        const u32 words_lower = word_mask & lower;
        const u64 neighbour = __shfl_sync(EVERY_LANE, h, words_lower ? highest(words_lower) : lane);
        repeated += __popc(ballot(word && h == (words_lower ? neighbour : last_word)));

        u32 surprisal = 0;
        bool unknown_pair = false;
        if (word) {
            characters += length;
            character_squares += u64(length) * length;
            if (words_here == from) atomicAdd(&counts[opener_column[code]], 1u);
            if (function) atomicAdd(&word_counts[function - 1], 1u);
            surprisal = unigram[h & unigram_mask];
            s1 += surprisal;
            s2 += u64(surprisal) * surprisal;
            u32 after = surprisal;
            if (follows) {
                const u32 cell = bigram[g >> 20 & bigram_mask];
                unknown_pair = cell == 0 || cell >> 8 != (g >> 40 & 255);
                const u32 unseen = surprisal + UNSEEN_BIGRAM;
                after = unknown_pair ? (unseen < 255 ? unseen : 255) : cell & 255;
            }
            bigram_sum += after;
            if (words_here < WINDOW && h != 0) {
                u32 i = u32(h >> 32) & (SLOTS - 1);
                for (u64 held; (held = atomicCAS(&slots[i], 0ull, h)) != 0 && held != h;) i = (i + 1) & (SLOTS - 1);
                atomicAdd(&seen[i], 1u);
            }
        }
        zero_words += __popc(ballot(word && words_here < WINDOW && h == 0));
        tail += __popc(ballot(word && surprisal >= tail_from));
        pairs += __popc(ballot(word && follows));
        novel += __popc(ballot(unknown_pair));
        if (mark || (word && entry)) {
            const bool ellipsis = mark && code == PERIOD && length > 1;
            atomicAdd(&counts[ellipsis ? ELLIPSES : class_column[code]], 1u);
        }
        if (follows && entry & PHRASE_END) {
            // the phrase of two, three or four tokens that ends here
            const u64 step = 0x9E3779B97F4A7C15ull;
            u64 phrase = x1 * step + h;
            u32 found = lookup(phrase_keys, phrase_values, u32(phrase_mask), mix64(phrase));
            if (!found) found = lookup(phrase_keys, phrase_values, u32(phrase_mask), mix64(phrase += x2 * (step * step)));
            if (!found) found = lookup(phrase_keys, phrase_values, u32(phrase_mask), mix64(phrase += x3 * (step * step * step)));
            if (found) atomicAdd(&counts[class_column[found]], 1u);
        }

        const u32 all_settled = word_mask | end_mask | begin_mask;
        if (all_settled) ended = end_mask >> highest(all_settled) & 1;
        if (break_mask) words_at_break = words_before + __popc(word_mask & ((1u << highest(break_mask)) - 1));
        if (word_mask) last_word = __shfl_sync(EVERY_LANE, h, highest(word_mask));
        words_before += __popc(word_mask);
        p3 = __shfl_sync(EVERY_LANE, h, 29), p2 = __shfl_sync(EVERY_LANE, h, 30), p1 = __shfl_sync(EVERY_LANE, h, 31);
    }
    const u32 sentence = words_before - words_at_break;
    if (lane == 0 && sentence > 0) {
        sentences++;
        short_sentences += sentence <= SHORT_SENTENCE;
        long_sentences += sentence >= LONG_SENTENCE;
        length_sum += sentence;
        length_squares += u64(sentence) * sentence;
    }
    __syncwarp();
    u32 distinct = 0, hapax = 0;
    for (int i = lane; i < SLOTS; i += 32) distinct += seen[i] > 0, hapax += seen[i] == 1;
    distinct = warp_sum(distinct) + (zero_words > 0), hapax = warp_sum(hapax) + (zero_words == 1);
    sentences = warp_sum(sentences), short_sentences = warp_sum(short_sentences), long_sentences = warp_sum(long_sentences);
    length_sum = warp_sum(length_sum), length_squares = warp_sum(length_squares);
    characters = warp_sum(characters), character_squares = warp_sum(character_squares);
    s1 = warp_sum(s1), s2 = warp_sum(s2), bigram_sum = warp_sum(bigram_sum);
    if (lane == 0) {
        const u64 found[10] = {length_sum, length_squares, characters, s1, s2, bigram_sum, novel, tail, functions, pairs};
        for (int j = 0; j < 10; j++) sums[document * 10 + j] = found[j];
    }
    for (int j = lane; j < STYLE; j += 32) {
        u64 value = counts[j];
        switch (j) {
            case TOKENS: value = end - start; break;
            case WORDS: value = words_before; break;
            case NUMBERS: value = numbers; break;
            case PUNCTUATION: value = end - start - words_before; break;
            case SENTENCES: value = sentences; break;
            case CAPITALISED: value = capitalised; break;
            case ALLCAPS_WORDS: value = allcaps; break;
            case LINES: value = lines; break;
            case LIST_LINES: value = list_lines; break;
            case LONG_WORDS: value = long_words; break;
            case SHORT_WORDS: value = short_words; break;
            case CHARACTERS_8: value = characters >> 3; break;
            case CHARACTERS_SQUARED_64: value = character_squares >> 6; break;
            case SPACELESS: value = spaceless; break;
            case WINDOW_WORDS: value = words_before < WINDOW ? words_before : WINDOW; break;
            case WINDOW_DISTINCT: value = distinct; break;
            case WINDOW_HAPAX: value = hapax; break;
            case CONTRACTIONS: value = contractions; break;
            case SENTENCE_WORDS_SQUARED_16: value = length_squares >> 4; break;
            case SHORT_SENTENCES: value = short_sentences; break;
            case LONG_SENTENCES: value = long_sentences; break;
            case REPEATED_WORDS: value = repeated; break;
        }
        style[document * STYLE + j] = u16(value < 65535 ? value : 65535);
    }
    for (int i = lane; i < 64; i += 32) words[document * 64 + i] = u16(word_counts[i]);
    for (int i = lane; i < 256; i += 32) bins[document * 256 + i] = u16(bin[i]);
}
