/* Vectors in int8 or int16, with what the rounding cost. */
#include "native.h"

enum { LANES = 16 };

/* What the product of two scales can lose where it is not a normal number, 1.2e-38, times the largest integer, 2^31.
 * Scores as small as that are all undecided, and ranked by their exact scores. */
static const float UNDERFLOW = 1e-28f;

FOR_EACH_PROCESSOR
static float largest(const float *vector, int64_t dim) {
    float found = 0;
    for (int64_t i = 0; i < dim; i++) {
        float size = fabsf(vector[i]);
        found = size > found ? size : found;
    }
    return found;
}

/* vector = scale * quantised + remainder, quantised from -levels to levels; `norm` is of the vector, `remainder` of the
 * remainder, `rounded` of scale * quantised. */
typedef struct {
    float scale, norm, remainder, rounded;
    int32_t sum;
} Quantised;

FOR_EACH_PROCESSOR
static Quantised quantise(const float *vector, int64_t dim, float levels, int16_t *quantised) {
    float scale = fmaxf(largest(vector, dim) / levels, 1e-38f), inverse = 1.0f / scale;
    double norm = 0, remainder = 0, rounded = 0;
    int32_t sum = 0;
    for (int64_t i = 0; i < dim; i++) {
        float value = rintf(vector[i] * inverse);
        value = value > levels ? levels : value < -levels ? -levels : value;
        quantised[i] = (int16_t)value;
        sum += (int32_t)value;
    }
    for (int64_t i = 0; i < dim; i++) {
        double exact = vector[i], approximate = (double)quantised[i] * (double)scale;
        norm += exact * exact;
        rounded += approximate * approximate;
        remainder += (exact - approximate) * (exact - approximate);
    }
    return (Quantised){scale, (float)sqrt(norm), (float)sqrt(remainder), (float)sqrt(rounded), sum};
}

/* Writes a vector in steps of 32 bits, which are `stride` apart: two int16, or four int8 each with `plus` added. */
static void pack(const int16_t *values, int64_t steps, bool wide, int plus, int64_t stride, int32_t *place) {
    for (int64_t step = 0; step < steps; step++) {
        uint8_t bytes[4];
        for (int i = 0; i < 4; i++) bytes[i] = wide ? 0 : (uint8_t)(values[step * 4 + i] + plus);
        if (wide) memcpy(bytes, values + step * 2, sizeof bytes);
        memcpy(place + step * stride, bytes, sizeof bytes);
    }
}

/* Rows [count, dim] to integers [count, steps] of 32 bits, zero behind `dim`; `offsets` is -128 times the sum of a row
 * of int8, else zero. */
EXPORT int quantise_queries(const float *vectors, int64_t count, int64_t dim, int64_t steps, int64_t levels,
                            int32_t *packed, float *scale, float *norm, float *error, int32_t *offsets, int threads) {
    bool wide = levels > 127;
    int failed = 0;
#pragma omp parallel num_threads(threads) reduction(| : failed)
    {
        int16_t *values = calloc((size_t)steps * 4, sizeof *values);
        failed = !values;
#pragma omp for schedule(static)
        for (int64_t row = 0; row < count; row++) {
            if (failed) continue;
            Quantised found = quantise(vectors + row * dim, dim, (float)levels, values);
            pack(values, steps, wide, 0, 1, packed + row * steps);
            scale[row] = found.scale;
            norm[row] = found.norm * (1 + 1e-6f);
            error[row] = found.remainder * (1 + 1e-5f);
            offsets[row] = wide ? 0 : -128 * found.sum;
        }
        free(values);
    }
    return failed;
}

/* Columns [count] of items `ids` to integers in groups of 16, and their bounds, which come zeroed; see `Integers` in
 * integers.c and `Table` in search.h. */
EXPORT int quantise_table(const float *vectors, const float *bias, const int32_t *ids, int64_t count, int64_t dim,
                          int64_t steps, int64_t levels, int32_t *packed, float *scale, float *upper_bias,
                          float *coarse, float *norm, float *slack, int threads) {
    bool wide = levels > 127;
    int failed = 0;
#pragma omp parallel num_threads(threads) reduction(| : failed)
    {
        int16_t *values = calloc((size_t)steps * 4, sizeof *values);
        failed = !values;
#pragma omp for schedule(static)
        for (int64_t c = 0; c < count; c++) {
            if (failed) continue;
            Quantised found = quantise(vectors + (int64_t)ids[c] * dim, dim, (float)levels, values);
            pack(values, steps, wide, wide ? 0 : 128, LANES, packed + (c / LANES) * steps * LANES + c % LANES);
            float rounding = 1e-6f * (found.rounded + found.remainder);
            scale[c] = found.scale;
            norm[c] = found.rounded;
            coarse[c] = (found.remainder + rounding) * (1 + 1e-5f);
            slack[c] = 1e-6f * fabsf(bias[ids[c]]) + UNDERFLOW;
            upper_bias[c] = bias[ids[c]] + slack[c];
        }
        free(values);
    }
    return failed;
}
