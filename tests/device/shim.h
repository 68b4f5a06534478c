// CUDA on the host, enough of it to run the kernels of curation/kernels/cuda as C++20: a block is as many threads as it
// has, with real barriers; blocks run one after another, so shared memory is static; atomics are atomics; warp
// operations exchange values behind a barrier of the warp's 32 threads.
#include <algorithm>
#include <atomic>
#include <barrier>
#include <bit>
#include <cmath>
#include <cstring>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__
#define __shared__ static

struct Dimensions {
    unsigned x = 1, y = 1, z = 1;
};

static unsigned long long launch_shared[1 << 14];
#define LAUNCH_SHARED(type, name) type* name = reinterpret_cast<type*>(launch_shared)

// between blocks the shared memory whose size a launch gives is filled with rubbish
struct Rubbish {
    void operator()() noexcept { std::memset(launch_shared, 0xA5, sizeof(launch_shared)); }
};

struct Warp {
    std::barrier<> gate{32};
    unsigned long long values[2][32] = {};
};

struct Block {
    std::barrier<> gate;
    std::barrier<Rubbish> end;
    std::vector<std::unique_ptr<Warp>> warps;
    explicit Block(unsigned threads) : gate(threads), end(threads) {
        for (unsigned i = 0; i < threads; i += 32) warps.push_back(std::make_unique<Warp>());
    }
};

static thread_local Dimensions threadIdx, blockIdx;
static thread_local unsigned exchanges;
static Dimensions blockDim, gridDim;
static Block* current_block;

static inline Warp& my_warp() { return *current_block->warps[threadIdx.x / 32]; }
static inline void __syncthreads() { current_block->gate.arrive_and_wait(); }
static inline void __syncwarp() { my_warp().gate.arrive_and_wait(); }

// What f makes of the values of all lanes. Two sets of values take turns: a lane that writes to one again has passed the
// barrier of the other, so all have read the first.
template <class T, class F>
static auto exchanged(T value, F f) {
    static_assert(sizeof(T) <= 8);
    Warp& warp = my_warp();
    unsigned long long(&values)[32] = warp.values[exchanges++ & 1];
    unsigned long long& mine = values[threadIdx.x % 32];
    mine = 0;
    std::memcpy(&mine, &value, sizeof(T));
    warp.gate.arrive_and_wait();
    return f(values);
}

template <class T>
static T __shfl_sync(unsigned, T value, int from) {
    return exchanged(value, [&](const unsigned long long* values) {
        T result;
        std::memcpy(&result, &values[from & 31], sizeof(T));
        return result;
    });
}
template <class T>
static T __shfl_up_sync(unsigned mask, T value, int by) {
    int lane = threadIdx.x % 32;
    return __shfl_sync(mask, value, lane < by ? lane : lane - by);
}
template <class T>
static T __shfl_xor_sync(unsigned mask, T value, int with) {
    return __shfl_sync(mask, value, (threadIdx.x % 32) ^ with);
}
static unsigned __ballot_sync(unsigned, bool predicate) {
    return exchanged(predicate, [](const unsigned long long* values) {
        unsigned mask = 0;
        for (int i = 0; i < 32; i++) mask |= unsigned(values[i] & 1) << i;
        return mask;
    });
}
static unsigned __match_any_sync(unsigned, unsigned value) {
    return exchanged(value, [&](const unsigned long long* values) {
        unsigned mask = 0;
        for (int i = 0; i < 32; i++) mask |= unsigned(values[i] == value) << i;
        return mask;
    });
}

template <class T>
static T atomicAdd(T* place, std::type_identity_t<T> value) {
    return std::atomic_ref<T>(*place).fetch_add(value);
}
template <class T>
static T atomicCAS(T* place, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
    std::atomic_ref<T>(*place).compare_exchange_strong(expected, value);
    return expected;
}

static int __popc(unsigned x) { return std::popcount(x); }
static int __clz(unsigned x) { return std::countl_zero(x); }
static int __clzll(unsigned long long x) { return std::countl_zero(x); }
static double __dadd_rn(double a, double b) { return a + b; }
static double __dmul_rn(double a, double b) { return a * b; }
static double __ddiv_rn(double a, double b) { return a / b; }
static double __dsqrt_rn(double a) { return std::sqrt(a); }
static float __double2float_rn(double a) { return float(a); }
static float __int_as_float(int a) { return std::bit_cast<float>(a); }
static double __longlong_as_double(long long a) { return std::bit_cast<double>(a); }
static long long __double_as_longlong(double a) { return std::bit_cast<long long>(a); }
using std::rint;
using std::sqrt;

template <class... A, std::size_t... I>
static void run(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_cvref_t<A>*>(arguments[I])...);
}

template <class... A>
static void launch(void (*kernel)(A...), unsigned blocks, unsigned threads, void** arguments) {
    gridDim = {blocks};
    blockDim = {threads};
    Block block(threads);
    current_block = &block;
    std::vector<std::thread> pool;
    for (unsigned t = 0; t < threads; t++)
        pool.emplace_back([&, t] {
            threadIdx = {t, 0, 0};
            exchanges = 0;
            for (unsigned b = 0; b < blocks; b++) {
                blockIdx = {b, 0, 0};
                run(kernel, arguments, std::index_sequence_for<A...>{});
                block.end.arrive_and_wait();
            }
        });
    for (auto& thread : pool) thread.join();
}

#define LAUNCHER(name)                                                                              \
    extern "C" void launch_##name(unsigned blocks, unsigned threads, void** arguments) {           \
        launch(name, blocks, threads, arguments);                                                  \
    }
