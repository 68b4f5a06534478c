// MinHash signatures: the twin of signature_kernel in curation/kernels/minhash.py, a block for each document.
//
// The block brings the words of CHUNK tokens together in shared memory, hashes their shingles there, and every thread
// takes the minimum of its permutations over them: reads are broadcasts of four shingles, and arithmetic is what bounds
// the kernel (permutations x shingles multiplications).

struct alignas(16) Four {
    u32 a, b, c, d;
};

INLINE u32 smaller(u32 a, u32 b) { return a < b ? a : b; }

KERNEL signatures(const u64* hashes, const u8* kinds, const i64* offsets, i64 ngram, const u32* factors,
                  const u32* summands, i64 bands, i64 rows, u64* bands_out, u16* low_out, u8* valid) {
    LAUNCH_SHARED(u64, words);  // ngram - 1 words that were left over, those of the chunk, and the minima
    __shared__ Four shingle_groups[CHUNK / 4];
    __shared__ u32 warp_words[32];
    u32* shingles = reinterpret_cast<u32*>(shingle_groups);
    const i64 permutations = bands * rows;
    u32* minima = reinterpret_cast<u32*>(words + ngram - 1 + CHUNK);
    const i64 document = blockIdx.x, start = offsets[document], end = offsets[document + 1];
    const int thread = threadIdx.x, threads = blockDim.x, warp = thread >> 5, warps = threads >> 5;
    for (i64 p = thread; p < permutations; p += threads) minima[p] = 0xFFFFFFFFu;
    i64 held = 0;  // words in shared memory
    i64 seen = 0;  // words of the document
    for (i64 chunk = start; chunk < end; chunk += CHUNK) {
        i64 stop = chunk + CHUNK < end ? chunk + CHUNK : end;
        for (i64 round = chunk; round < stop; round += threads) {
            i64 t = round + thread;
            bool word = t < stop && kinds[t] & WORD;
            u32 mask = ballot(word);
            if (lane_index() == 0) warp_words[warp] = __popc(mask);
            __syncthreads();
            i64 place = held + __popc(mask & lower_lanes()), found = 0;
            for (int w = 0; w < warps; w++) {
                if (w < warp) place += warp_words[w];
                found += warp_words[w];
            }
            if (word) words[place] = hashes[t];
            held += found;
            seen += found;
            __syncthreads();
        }
        i64 count = held - ngram + 1;
        if (count <= 0) continue;
        for (i64 s = thread; s < count; s += threads) {
            u64 rolled = 0;
            for (i64 k = 0; k < ngram; k++) rolled = rolled * 0x9E3779B97F4A7C15ull + words[s + k];
            shingles[s] = u32(mix64(rolled) >> 32);
        }
        __syncthreads();
        // the last group is filled up with a shingle that is there
        if (thread < 3 && count + thread < (count + 3) / 4 * 4) shingles[count + thread] = shingles[count - 1];
        __syncthreads();
        for (i64 p = thread; p < permutations; p += threads) {
            u32 a = factors[p], b = summands[p], least = minima[p];
            for (i64 g = 0; g < (count + 3) / 4; g++) {
                Four four = shingle_groups[g];
                least = smaller(least, smaller(a * four.a + b, a * four.b + b));
                least = smaller(least, smaller(a * four.c + b, a * four.d + b));
            }
            minima[p] = least;
        }
        for (i64 k = 0; k < ngram - 1; k += threads) {
            bool mine = k + thread < ngram - 1;
            u64 kept = mine ? words[held - ngram + 1 + k + thread] : 0;
            __syncthreads();
            if (mine) words[k + thread] = kept;
            __syncthreads();
        }
        held = ngram - 1;
    }
    __syncthreads();
    const bool enough = seen >= ngram;
    if (thread == 0) valid[document] = enough;
    for (i64 p = thread; p < permutations; p += threads) low_out[document * permutations + p] = enough ? u16(minima[p]) : 0;
    for (i64 band = thread; band < bands; band += threads) {
        u64 h = band + 1;
        for (i64 p = band * rows; p < (band + 1) * rows; p++) h = mix64(h * 0x9E3779B97F4A7C15ull + minima[p]);
        bands_out[document * bands + band] = enough ? h : 0;
    }
}
