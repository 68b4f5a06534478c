// Count tables of a batch: the twin of count_kernel in curation/kernels/histograms.py, a warp for each document.
//
// `histograms` adds words, sentence openers and polarity to tables in device memory. A few words are
// much of any text, so every block keeps the counts of the first words that it meets in shared memory until it ends.
// `sample` counts occurrences and documents of sampled words and runs of words in open-addressed tables, of which
// `sample_levels` finds the level that leaves few enough, and `sample_collect` hands these out.

enum { CACHE = 2048, RUN = 8 };

// What both kernels carry from one group of 32 tokens to the next.
struct Carry {
    u32 words_before = 0, words_at_break = 0;
    bool ended = false;
};

// the words of a lane's sentence before it; updates what is carried
INLINE u32 place_in_sentence(Carry& carry, u32 kind, u32 word_mask, u32 end_mask) {
    const u32 lower = lower_lanes(), begin_mask = ballot(kind & (UPPER | LINE | CHAR));
    const u32 settled = word_mask | end_mask | begin_mask;
    const bool ended = settled & lower ? end_mask >> highest(settled & lower) & 1 : carry.ended;
    const u32 break_mask = ballot(ended && kind & (UPPER | LINE | CHAR));
    const u32 upto = break_mask & (lower | 1u << lane_index());
    const u32 here = carry.words_before + __popc(word_mask & lower);
    const u32 from = upto ? carry.words_before + __popc(word_mask & ((1u << highest(upto)) - 1)) : carry.words_at_break;
    if (settled) carry.ended = end_mask >> highest(settled) & 1;
    if (break_mask) carry.words_at_break = carry.words_before + __popc(word_mask & ((1u << highest(break_mask)) - 1));
    carry.words_before += __popc(word_mask);
    return here - from;
}

INLINE void count_cached(u32* owners, u32* cached, u32* table, u32 cell) {
    const u32 place = cell & (CACHE - 1);
    const u32 owner = atomicCAS(&owners[place], EVERY_LANE, cell);
    if (owner == EVERY_LANE || owner == cell) atomicAdd(&cached[place], 1u);
    else atomicAdd(&table[cell], 1u);
}

// skip u8[documents]; unigram u32[2^20], opener u32[2^16], polarity u32[2^17, 2]; totals: words, tokens
KERNEL histograms(const u64* hashes, const u8* kinds, const u8* lengths, const i64* offsets, i64 documents,
                  const u8* skip, const u64* keys, const u16* values, i64 key_mask, u32* unigram,
                  u32* opener, u32* polarity, u64* totals) {
    __shared__ u32 owners[CACHE], cached[CACHE];
    for (int i = threadIdx.x; i < CACHE; i += blockDim.x) owners[i] = EVERY_LANE, cached[i] = 0;
    __syncthreads();
    const int lane = lane_index(), warps = blockDim.x >> 5;
    for (i64 document = i64(blockIdx.x) * warps + (threadIdx.x >> 5); document < documents; document += i64(gridDim.x) * warps) {
        if (skip[document]) continue;
        const i64 start = offsets[document], end = offsets[document + 1];
        Carry carry;
        u64 last_word = 0;  // before the group
        u32 negated_before = 0, end_before = 0;  // masks of negations and ends of the group before
        for (i64 base = start; base < end; base += 32) {
            const i64 t = base + lane;
            const bool live = t < end;
            const u64 h = live ? hashes[t] : 0;
            const u32 kind = live ? kinds[t] : 0;
            const bool word = kind & WORD;
            const u32 entry = live ? lookup(keys, values, u32(key_mask), h) : 0;
            const u32 code = entry >> CLASS_SHIFT & CLASS_MASK;
            const u32 word_mask = ballot(word), end_mask = ballot(live && !word && code >= PERIOD && code <= EXCLAMATION);
            const u32 negated_mask = ballot(word && code == NEGATION);
            const u32 sentence = place_in_sentence(carry, kind, word_mask, end_mask);
            const u32 words_lower = word_mask & lower_lanes();
            const u64 neighbour = __shfl_sync(EVERY_LANE, h, words_lower ? highest(words_lower) : lane);
            if (word) {
                count_cached(owners, cached, unigram, h & ((1 << 20) - 1));
                if (sentence == 1) atomicAdd(&opener[pair_hash(words_lower ? neighbour : last_word, h) >> 48], 1u);
                const bool content = code == NO_CLASS && !(entry & COMMON) && !(kind & (NUMBER | CHAR));
                if (content && lengths[t] >= CONTENT_LENGTH) {
                    // the negation that the last NEGATION_REACH tokens end with, if no sentence has ended since
                    const u64 reach = u64(negated_mask) << 32 | negated_before, ends = u64(end_mask) << 32 | end_before;
                    const u64 near = reach >> (32 + lane - NEGATION_REACH) & ((1 << NEGATION_REACH) - 1);
                    const u64 over = ends >> (32 + lane - NEGATION_REACH) & ((1 << NEGATION_REACH) - 1);
                    atomicAdd(&polarity[2 * (h >> 20 & ((1 << 17) - 1)) + (near > over)], 1u);
                }
            }
            if (word_mask) last_word = __shfl_sync(EVERY_LANE, h, highest(word_mask));
            negated_before = negated_mask, end_before = end_mask;
        }
        if (lane == 0) {
            atomicAdd(&totals[0], u64(carry.words_before));
            atomicAdd(&totals[1], u64(end - start));
        }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < CACHE; i += blockDim.x)
        if (cached[i]) atomicAdd(&unigram[owners[i]], cached[i]);
}

// Count an occurrence of h in a document. A table has mask + 1 slots and one more, for h = 0. state: used slots, and
// whether a table was too small (then everything is done again with larger ones).
INLINE void count_key(u64* keys, u32* counts, u32* documents, u64* pairs, u32 mask, u32* state, u64 h, u32 document) {
    u32 slot = h ? u32(h) & mask : mask + 1;
    for (u32 probes = 0; h; slot = (slot + 1) & mask) {
        const u64 held = atomicCAS(&keys[slot], 0ull, h);
        if (held == 0 && atomicAdd(&state[0], 1u) >= mask - mask / 4) state[1] = 1;
        if (held == 0 || held == h) break;
        if (probes++ > mask || state[1]) {
            state[1] = 1;
            return;
        }
    }
    atomicAdd(&counts[slot], 1u);
    // (slot, document) is the same for the same key in the same document, and for nothing else
    const u64 pair = u64(slot + 1) << 32 | document;
    u32 place = u32(mix64(pair)) & mask;
    for (u32 probes = 0;; place = (place + 1) & mask) {
        const u64 held = atomicCAS(&pairs[place], 0ull, pair);
        if (held == pair) return;
        if (held == 0) break;
        if (probes++ > mask || state[1]) {
            state[1] = 1;
            return;
        }
    }
    atomicAdd(&documents[slot], 1u);
}

INLINE bool sampled(u64 h, i64 level) { return level == 0 || h >> (64 - level) == 0; }

// keys u64, counts and documents u32 [3, slots + 1], pairs u64[3, slots], all zero; state u32[3, 2]
KERNEL sample(const u64* hashes, const u8* kinds, const i64* offsets, i64 documents, const u8* skip, const i64* levels,
              i64 slots, u64* keys, u32* counts, u32* in_documents, u64* pairs, u32* state) {
    __shared__ u64 all_words[WARPS][RUN + 32];  // the last RUN words before the group, then its words
    const int lane = lane_index();
    u64* words = all_words[threadIdx.x >> 5];
    const i64 document = i64(blockIdx.x) * WARPS + (threadIdx.x >> 5);
    if (document >= documents || skip[document]) return;
    const u32 mask = u32(slots - 1);
    const u64 step = 0x9E3779B97F4A7C15ull;
    i64 seen = 0;
    for (i64 t = offsets[document] + lane; t - lane < offsets[document + 1]; t += 32) {
        const bool word = t < offsets[document + 1] && kinds[t] & WORD;
        const u32 word_mask = ballot(word), rank = __popc(word_mask & lower_lanes());
        const u64 h = word ? hashes[t] : 0;
        if (word) words[RUN + rank] = h;
        __syncwarp();
        if (word) {
            // the last four words and the last eight; runs that reach back beyond the document are not counted below
            u64 run4 = 0, run8 = 0;
            for (int k = 0; k < RUN; k++) {
                const u64 at = words[rank + 1 + k];
                run8 = run8 * step + at;
                if (k >= RUN - 4) run4 = run4 * step + at;
            }
            const u64 grams[3] = {h, mix64(run4), mix64(run8)};
            const i64 needed[3] = {1, 4, 8};
            for (int s = 0; s < 3; s++)
                if (seen + rank + 1 >= needed[s] && sampled(grams[s], levels[s]))
                    count_key(keys + s * (slots + 1), counts + s * (slots + 1), in_documents + s * (slots + 1),
                              pairs + s * slots, mask, state + 2 * s, grams[s], u32(document));
        }
        __syncwarp();
        const u32 found = __popc(word_mask);
        const u64 kept = lane < RUN ? words[found + lane] : 0;
        __syncwarp();
        if (lane < RUN) words[lane] = kept;
        seen += found;
        __syncwarp();
    }
}

// zeros u32[3, 65], zero: how many keys of each sample begin with that many zero bits
KERNEL sample_zeros(i64 slots, const u64* keys, const u32* counts, u32* zeros) {
    for (i64 place = my_thread(); place < 3 * (slots + 1); place += all_threads())
        if (counts[place]) atomicAdd(&zeros[place / (slots + 1) * 65 + __clzll(keys[place])], 1u);
}

// raise levels i64[3] until at most `most` keys are left of each sample; one thread a sample
KERNEL sample_levels(const u32* zeros, i64 most, i64* levels) {
    const int s = threadIdx.x;
    if (s >= 3) return;
    i64 left = 0, level = 65;
    while (level > levels[s] && left + zeros[s * 65 + level - 1] <= most) left += zeros[s * 65 + --level];
    levels[s] = level;
}

// the keys of the levels in no order: found_keys u64[3, most], found u32[3, most, 2] of counts and documents, n u32[3]
KERNEL sample_collect(i64 slots, const u64* keys, const u32* counts, const u32* in_documents, const i64* levels,
                      i64 most, u64* found_keys, u32* found, u32* n) {
    for (i64 place = my_thread(); place < 3 * (slots + 1); place += all_threads()) {
        const i64 s = place / (slots + 1);
        if (!counts[place] || !sampled(keys[place], levels[s])) continue;
        const u32 at = atomicAdd(&n[s], 1u);
        found_keys[s * most + at] = keys[place];
        found[2 * (s * most + at)] = counts[place];
        found[2 * (s * most + at) + 1] = in_documents[place];
    }
}
