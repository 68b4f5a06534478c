// What all kernels share: types, mixing, bits of a token's kind, and sums over a warp. Put before every .cu file by
// curation/device/sources.py, which also hands in as macros the constants that Numba kernels define.
//
// A kernel is written for blocks of whole warps. Lanes of a warp leave a loop together, so every warp operation is over
// all 32 lanes. Nothing here is a float sum whose order could vary: what is added up by atomics is an integer.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

#define KERNEL extern "C" __global__ void
#define INLINE __device__ __forceinline__
#define EVERY_LANE 0xFFFFFFFFu
#ifndef LAUNCH_SHARED  // shared memory whose size the launch gives; the host shim has its own
#define LAUNCH_SHARED(type, name) extern __shared__ type name[]
#endif

// bits of a token's kind, as in curation/kernels/tokens.py
enum { WORD = 1, NUMBER = 2, PUNCT = 4, UPPER = 8, ALLCAPS = 16, LINE = 32, CHAR = 64 };

INLINE u64 mix64(u64 h) {
    h ^= h >> 33;
    h *= 0xFF51AFD7ED558CCDull;
    h ^= h >> 33;
    h *= 0xC4CEB9FE1A85EC53ull;
    return h ^ (h >> 33);
}

INLINE u64 pair_hash(u64 first, u64 second) { return mix64(first * 0x9E3779B97F4A7C15ull + second); }

// a loop over items by all threads of the grid, however many there are: for (i64 i = my_thread(); i < n; i += all_threads())
INLINE i64 my_thread() { return i64(blockIdx.x) * blockDim.x + threadIdx.x; }
INLINE i64 all_threads() { return i64(gridDim.x) * blockDim.x; }

INLINE int lane_index() { return threadIdx.x & 31; }

// the lanes below this one
INLINE u32 lower_lanes() { return (1u << lane_index()) - 1; }

// the highest lane of a mask that is not empty
INLINE int highest(u32 mask) { return 31 - __clz(mask); }

INLINE u32 ballot(bool predicate) { return __ballot_sync(EVERY_LANE, predicate); }

// the value of the lane `by` (1 to 3) below; the lowest lanes get what the group of 32 before them ended with
template <class T>
INLINE T shifted(T value, int by, T last, T second_last = T(), T third_last = T()) {
    T above = __shfl_up_sync(EVERY_LANE, value, by);
    int missing = by - lane_index();
    if (missing <= 0) return above;
    return missing == 1 ? last : missing == 2 ? second_last : third_last;
}

// the sum over the warp, in every lane
template <class T>
INLINE T warp_sum(T value) {
    for (int step = 16; step; step >>= 1) value += __shfl_xor_sync(EVERY_LANE, value, step);
    return value;
}

// value of h in an open-addressed table of mask + 1 slots whose free slots have value 0; 0 when absent
template <class V>
INLINE u32 lookup(const u64* keys, const V* values, u32 mask, u64 h) {
    for (u32 i = h & mask;; i = (i + 1) & mask) {
        V value = values[i];
        if (value == 0 || keys[i] == h) return value;
    }
}
