// A pass of balancing: the twins of `tilt` and of the exact moments in curation/kernels/moments.py.
//
// Features are multiples of 2^-10 of at most 45, which float32 holds exactly: that is how they travel. A row is read by
// eight lanes, one for each of the eight running sums of the CPU, so the dot product has the same bits. exp and log are
// those of curation/kernels/elementary.py, operation by operation. Compiled without fused multiply-add.
//
// `scale_rows` lays out the factor of a float64 product with its own transpose, by blocks of at most 1,000 rows; whatever
// library multiplies it, every partial sum is an integer below 2^53, so the order does not matter. `add_blocks` adds up.

INLINE double power_of_two(i64 k) { return __longlong_as_double((k + 1023) << 52); }

// e^x for x <= 0; 0 below -700
INLINE double exp_below(double x) {
    if (!(x > -700.0)) return 0.0;
    const double k = rint(x * 1.44269504088896338700e+00);
    const double high = x - k * 6.93147180369123816490e-01, low = k * 1.90821492927058770002e-10;
    const double r = high - low, t = r * r;
    const double c = r - t * (1.66666666666666019037e-01 + t * (-2.77777777770155933842e-03 + t * (6.61375632143793436117e-05 +
                     t * (-1.65339022054652515390e-06 + t * 4.13813679705723846039e-08))));
    return (1.0 - ((low - r * c / (2.0 - c)) - high)) * power_of_two(i64(k));
}

// natural logarithm of a normal number above 0
INLINE double log_above(double x) {
    const i64 bits = __double_as_longlong(x);
    i64 k = (bits >> 52) - 1023;
    double m = __longlong_as_double((bits & 0xFFFFFFFFFFFFFll) | 0x3FF0000000000000ll);
    if (m > 1.41421356237309504880) m *= 0.5, k++;
    const double f = m - 1.0, s = f / (2.0 + f), z = s * s, w = z * z;
    const double even = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01));
    const double odd = z * (6.666666666666735130e-01 + w * (2.857142874366239149e-01 + w * (1.818357216161805012e-01 +
                       w * 1.479819860511658591e-01)));
    const double half = 0.5 * f * f;
    return k * 6.93147180369123816490e-01 - ((half - (s * (half + (odd + even)) + k * 1.90821492927058770002e-10)) - f);
}

// matrix float[rows, d]; fills units and free [rows]. totals, added to: documents with a base weight, capped ones, ones
// of weight zero; units, units below the cap, squared units; high and low limb of the potential below the cap, at it
KERNEL tilt(const float* matrix, i64 rows, i64 d, const double* coefficients, double offset, const double* base,
            double top, double* units, double* free, u64* totals) {
    const int part = threadIdx.x & 7;
    const i64 whole = d - d % 8, warp = (i64(blockIdx.x) * blockDim.x + threadIdx.x) >> 5;
    const i64 warps = i64(gridDim.x) * blockDim.x >> 5;
    u64 counted[10] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    for (i64 group = warp * 4; group < rows; group += warps * 4) {  // four rows, eight lanes each
        const i64 row = group + (lane_index() >> 3);
        const bool live = row < rows && base[row] > 0.0;
        double sum = 0.0;
        if (live) {
            const float* x = matrix + row * d;
            for (i64 j = part; j < whole; j += 8) sum += double(x[j]) * coefficients[j];
            if (part == 0)
                for (i64 j = whole; j < d; j++) sum += double(x[j]) * coefficients[j];
        }
        // ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7)): a sum of two is the same from either side
        for (int step = 1; step < 8; step <<= 1) sum += __shfl_xor_sync(EVERY_LANE, sum, step);
        if (part != 0 || row >= rows) continue;
        units[row] = free[row] = 0.0;
        if (!live) continue;
        const double exponent = offset + sum + log_above(base[row]) - top;
        const bool capped = exponent >= 0.0;
        const double value = !capped ? exp_below(exponent) : 1.0 + exponent < 1048576.0 ? 1.0 + exponent : 1048576.0;
        const double weight = capped ? UNITS : rint(value * UNITS);
        const u64 fixed = u64(rint(value * 4294967296.0)), all = u64(weight);
        units[row] = weight;
        free[row] = capped ? 0.0 : weight;
        counted[0]++, counted[1] += capped, counted[2] += all == 0;
        counted[3] += all, counted[4] += capped ? 0 : all, counted[5] += all * all;
        counted[6] += capped ? 0 : fixed >> 32, counted[7] += capped ? 0 : fixed & 0xFFFFFFFFu;
        counted[8] += capped ? fixed >> 32 : 0, counted[9] += capped ? fixed & 0xFFFFFFFFu : 0;
    }
#pragma unroll
    for (int i = 0; i < 10; i++) {
        const u64 sum = warp_sum(counted[i]);
        if (lane_index() == 0 && sum) atomicAdd(&totals[i], sum);
    }
}

// add the sums of units * feature and free * feature over the rows, in 2^-10, to sums i64[2, d]; a thread a feature, and
// the rows of one block after another. A term is below 2^28, so 2^35 rows fit.
KERNEL first_moments(const float* matrix, i64 rows, i64 d, const double* units, const double* free, i64* sums) {
    for (i64 j = threadIdx.x; j < d; j += blockDim.x) {
        i64 whole = 0, below = 0;
        for (i64 i = blockIdx.x; i < rows; i += gridDim.x) {
            const i64 x = i64(double(matrix[i * d + j]) * 1024.0);
            whole += i64(units[i]) * x;
            below += i64(free[i]) * x;
        }
        atomicAdd(reinterpret_cast<u64*>(&sums[j]), u64(whole));
        atomicAdd(reinterpret_cast<u64*>(&sums[d + j]), u64(below));
    }
}

// scaled double[padded, d + 1]: 1 and the features, times the nearest root of free, in 2^-10; rows from `rows` on are 0
KERNEL scale_rows(const float* matrix, i64 rows, i64 padded, i64 d, const double* free, double* scaled) {
    for (i64 i = my_thread(); i < padded * (d + 1); i += all_threads()) {
        const i64 row = i / (d + 1), j = i % (d + 1);
        const double root = row < rows ? rint(sqrt(free[row])) * 1024.0 : 0.0;
        scaled[i] = root == 0.0 ? 0.0 : j == 0 ? root : double(matrix[row * d + j - 1]) * root;
    }
}

// add double[blocks, size], integers below 2^53, to limbs i64[2, size] of value = high * 2^32 + low
KERNEL add_blocks(const double* products, i64 blocks, i64 size, i64* limbs) {
    for (i64 i = my_thread(); i < size; i += all_threads()) {
        i64 high = 0, low = 0;
        for (i64 block = 0; block < blocks; block++) {
            const i64 value = i64(products[block * size + i]);
            high += value >> 32;
            low += value & 0xFFFFFFFFll;
        }
        limbs[i] += high;
        limbs[size + i] += low;
    }
}
