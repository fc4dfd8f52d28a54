/* Small loops over float32 vectors. */
#ifndef RANKDISTILL_VECTORS_H
#define RANKDISTILL_VECTORS_H

#include "native.h"

enum { SUMS = 16 };

/* sum + scale * vector, in place. */
FOR_EACH_PROCESSOR
static void add_scaled(float *restrict sum, const float *restrict vector, float scale, int64_t dim) {
    for (int64_t i = 0; i < dim; i++) sum[i] += scale * vector[i];
}

/* The product of two vectors, in 16 interleaved sums that are folded in halves. */
FOR_EACH_PROCESSOR
static float product(const float *restrict a, const float *restrict b, int64_t dim) {
    float sums[SUMS] = {0};
    int64_t whole = dim - dim % SUMS;
    for (int64_t start = 0; start < whole; start += SUMS)
        for (int64_t i = 0; i < SUMS; i++) sums[i] += a[start + i] * b[start + i];
    for (int64_t i = 0; i < dim - whole; i++) sums[i] += a[whole + i] * b[whole + i];
    for (int64_t half = SUMS / 2; half > 0; half /= 2)
        for (int64_t i = 0; i < half; i++) sums[i] += sums[i + half];
    return sums[0];
}

#endif
