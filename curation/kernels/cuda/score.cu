// The linear score: the twin of score_kernel in curation/kernels/score.py, a warp for each document.
//
// A feature counts unless the feature before it in the same slot was the same one, so order matters. The warp takes 32
// tokens at a time, computes their 96 buckets, and settles them 32 at a time in their order: lanes with the same slot
// find each other by a match, the first of them asks the table, and the last of them leaves its tag there.

INLINE u32 single_bucket(u64 current) { return u32(mix64(current ^ 0x9E3779B97F4A7C15ull) >> (64 - BITS)); }

INLINE u32 pair_bucket(u64 previous, u64 current) {
    return u32(((previous * 0xFF51AFD7ED558CCDull + current) * 0xC4CEB9FE1A85EC53ull) >> (64 - BITS));
}

INLINE u32 frame_bucket(u64 first, u64 second, u64 third) {
    u64 pair = (first * 0xFF51AFD7ED558CCDull + second) ^ 0x9E3779B97F4A7C15ull;
    return u32(((pair * 0xC4CEB9FE1A85EC53ull + third) * 0xFF51AFD7ED558CCDull) >> (64 - BITS));
}

// constants: 16 terms of numbers by length, then 16 of words that are not common
INLINE u64 term(u64 hash, u32 kind, u32 length, const u64* constants) {
    return kind & NUMBER ? constants[(length < 16 ? length : 16) - 1] : hash;
}

INLINE u64 blanked(u64 current, u32 kind, u32 length, const u8* vocabulary, const u64* constants) {
    u32 bit = u32(current >> (64 - WORD_BITS));
    bool known = vocabulary[bit >> 3] >> (bit & 7) & 1;
    return known || (kind & (WORD | NUMBER)) != WORD ? current : constants[16 + (length & 15)];
}

KERNEL score(const u64* hashes, const u8* kinds, const u8* lengths, const i64* offsets, i64 documents,
             const u8* vocabulary, const u64* constants, const signed char* weights, const signed char* check,
             const double* scales, i64 least, float* logit, float* logit_check) {
    __shared__ u64 tables[WARPS][SLOTS / 8];  // a byte a slot: the bucket's upper bits, and a bit for "taken"
    const int lane = lane_index();
    const i64 document = i64(blockIdx.x) * WARPS + (threadIdx.x >> 5);
    if (document >= documents) return;
    u8* seen = reinterpret_cast<u8*>(tables[threadIdx.x >> 5]);
    const i64 start = offsets[document], stop = offsets[document + 1];
    const u64 blank = 0x9E3779B97F4A7C15ull;
    i64 words = 0;
    for (i64 t = start; t < stop && words < least; t += 32) words += __popc(ballot(t + lane < stop && kinds[t + lane] & WORD));
    if (words < least || words == 0) {
        if (lane == 0) logit[document] = logit_check[document] = __int_as_float(0x7FC00000);
        return;
    }
    const int windows = stop - start > 2 * WINDOW ? 2 : 1;
    double sum_all = 0.0, sum_check = 0.0;
    for (int window = 0; window < windows; window++) {
        const i64 begin = window == 0 ? start : start + (stop - start - WINDOW) / 2;
        const i64 end = begin + WINDOW < stop ? begin + WINDOW : stop;
        int total = 0, total_check = 0, count = 0, odd = 0;
        u64 last = blank, first = blank, second = blank;  // the term, and the two frame terms, before the group
        for (int i = lane; i < SLOTS / 8; i += 32) tables[threadIdx.x >> 5][i] = 0;
        __syncwarp();
        for (i64 base = begin; base < end; base += 32) {
            const int tokens = end - base < 32 ? int(end - base) : 32;
            const i64 t = base + (lane < tokens ? lane : 0);
            const u64 current = term(hashes[t], kinds[t], lengths[t], constants);
            const u64 third = blanked(current, kinds[t], lengths[t], vocabulary, constants);
            const u64 previous = shifted(current, 1, last);
            const u64 frame_second = shifted(third, 1, second), frame_first = shifted(third, 2, second, first);
            const u32 buckets[3] = {single_bucket(current), pair_bucket(previous, current),
                                    frame_bucket(frame_first, frame_second, third)};
            for (int part = 0; part < 3; part++) {
                const int feature = 32 * part + lane, of = feature / 3, which = feature % 3;
                const u32 b0 = __shfl_sync(EVERY_LANE, buckets[0], of), b1 = __shfl_sync(EVERY_LANE, buckets[1], of);
                const u32 b2 = __shfl_sync(EVERY_LANE, buckets[2], of);
                const u32 bucket = which == 0 ? b0 : which == 1 ? b1 : b2;
                const bool active = feature < 3 * tokens;
                const u32 slot = active ? bucket & (SLOTS - 1) : SLOTS + lane;
                const u32 tag = 128 | bucket / SLOTS;
                const u32 peers = __match_any_sync(EVERY_LANE, slot), earlier = peers & lower_lanes();
                u32 held = __shfl_sync(EVERY_LANE, tag, earlier ? highest(earlier) : lane);
                if (active && !earlier) held = seen[slot];
                __syncwarp();
                if (active && highest(peers) == lane) seen[slot] = u8(tag);
                __syncwarp();
                if (active && held != tag) {
                    total += weights[bucket];
                    count++;
                    if (bucket & 1) {
                        total_check += check[bucket >> 1];
                        odd++;
                    }
                }
            }
            last = __shfl_sync(EVERY_LANE, current, 31);
            first = __shfl_sync(EVERY_LANE, third, 30);
            second = __shfl_sync(EVERY_LANE, third, 31);
        }
        total = warp_sum(total), total_check = warp_sum(total_check);
        count = warp_sum(count), odd = warp_sum(odd);
        // the same roundings as on the CPU: each operation by itself, none fused
        sum_all = __dadd_rn(sum_all, __ddiv_rn(total, __dsqrt_rn(count)));
        sum_check = __dadd_rn(sum_check, __ddiv_rn(total_check, __dsqrt_rn(odd > 1 ? odd : 1)));
    }
    if (lane == 0) {
        logit[document] = __double2float_rn(__dadd_rn(__dmul_rn(__ddiv_rn(sum_all, windows), scales[0]), scales[1]));
        logit_check[document] = __double2float_rn(__dadd_rn(__dmul_rn(__ddiv_rn(sum_check, windows), scales[2]), scales[3]));
    }
}
