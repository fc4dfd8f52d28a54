/* What Caser does between the vectors of the last items and its fully connected layer.
 *
 * Shapes: histories [B, L, d]; vertical filters [V, L]; horizontal filters of height h in 1..L, F of each, [F, h, d].
 * `sums` [B, offsets, F] are the products of the horizontal filters at all their offsets, height by height.
 * `features` [B, V d + L F] are the vertical sums, then the maximum over the offsets of each horizontal filter. */
#include "vectors.h"

typedef struct {
    int64_t batch, length, dim, vertical, horizontal;
    const float *histories, *vertical_filters, *vertical_bias;
    const float *horizontal_filters, *horizontal_bias; /* all heights in one array; [L, F] */
} Caser;

static inline int64_t width_of(const Caser *caser) {
    return caser->vertical * caser->dim + caser->length * caser->horizontal;
}

/* Each filter at each offset as a row [offsets F, L d], zero outside the filter's own items; `out` comes zeroed. */
EXPORT int spread_filters(const float *filters, int64_t length, int64_t dim, int64_t horizontal, float *out,
                          int threads) {
    (void)threads;
    for (int64_t height = 1; height <= length; height++) {
        for (int64_t offset = 0; offset <= length - height; offset++)
            for (int64_t f = 0; f < horizontal; f++, out += length * dim)
                memcpy(out + offset * dim, filters + f * height * dim, (size_t)(height * dim) * sizeof *out);
        filters += horizontal * height * dim;
    }
    return 0;
}

/* The features, and the offset [B, L F] of each maximum: the first where several are equal. */
EXPORT int caser_features(const Caser *caser, const float *sums, float *features, uint8_t *offsets, int threads) {
    int64_t length = caser->length, dim = caser->dim, horizontal = caser->horizontal, width = width_of(caser);
    int64_t all_offsets = length * (length + 1) / 2;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t b = 0; b < caser->batch; b++) {
        const float *history = caser->histories + b * length * dim, *sum = sums + b * all_offsets * horizontal;
        float *out = features + b * width;
        uint8_t *offset_of = offsets + b * length * horizontal;
        for (int64_t v = 0; v < caser->vertical; v++, out += dim) {
            for (int64_t i = 0; i < dim; i++) out[i] = caser->vertical_bias[v];
            for (int64_t l = 0; l < length; l++)
                add_scaled(out, history + l * dim, caser->vertical_filters[v * length + l], dim);
        }
        for (int64_t h = 0; h < length; h++, out += horizontal, offset_of += horizontal) {
            for (int64_t f = 0; f < horizontal; f++) {
                float best = sum[f];
                uint8_t place = 0;
                for (int64_t offset = 1; offset < length - h; offset++) {
                    float value = sum[offset * horizontal + f];
                    if (value > best) best = value, place = (uint8_t)offset;
                }
                out[f] = best + caser->horizontal_bias[h * horizontal + f];
                offset_of[f] = place;
            }
            sum += (length - h) * horizontal;
        }
    }
    return 0;
}

/* Gradients of histories [B, L, d] and of all filters and biases, from those of the features. The last four are
 * [threads, ...], zeroed: every thread adds to its own. */
EXPORT int caser_backward(const Caser *caser, const float *gradients, const uint8_t *offsets, float *histories,
                          float *vertical_filters, float *vertical_bias, float *horizontal_filters,
                          float *horizontal_bias, int threads) {
    int64_t length = caser->length, dim = caser->dim, horizontal = caser->horizontal, width = width_of(caser);
    int64_t all_filters = horizontal * dim * length * (length + 1) / 2;
#pragma omp parallel for schedule(static, 1) num_threads(threads)
    for (int64_t part = 0; part < threads; part++) {
        float *own_vertical = vertical_filters + part * caser->vertical * length;
        float *own_vertical_bias = vertical_bias + part * caser->vertical;
        float *own_bias = horizontal_bias + part * length * horizontal;
        for (int64_t b = caser->batch * part / threads; b < caser->batch * (part + 1) / threads; b++) {
            const float *history = caser->histories + b * length * dim, *gradient = gradients + b * width;
            const uint8_t *offset_of = offsets + b * length * horizontal;
            float *out = histories + b * length * dim, *own_filters = horizontal_filters + part * all_filters;
            const float *filters = caser->horizontal_filters;
            memset(out, 0, (size_t)(length * dim) * sizeof *out);
            for (int64_t v = 0; v < caser->vertical; v++, gradient += dim) {
                for (int64_t i = 0; i < dim; i++) own_vertical_bias[v] += gradient[i];
                for (int64_t l = 0; l < length; l++) {
                    own_vertical[v * length + l] += product(gradient, history + l * dim, dim);
                    add_scaled(out + l * dim, gradient, caser->vertical_filters[v * length + l], dim);
                }
            }
            for (int64_t h = 0; h < length; h++, gradient += horizontal, offset_of += horizontal) {
                int64_t size = (h + 1) * dim;
                for (int64_t f = 0; f < horizontal; f++, filters += size, own_filters += size) {
                    int64_t start = offset_of[f] * dim;
                    own_bias[h * horizontal + f] += gradient[f];
                    if (gradient[f] == 0.0f) continue; /* dropped */
                    add_scaled(own_filters, history + start, gradient[f], size);
                    add_scaled(out + start, filters, gradient[f], size);
                }
            }
        }
    }
    return 0;
}

enum { WORDS = 64 };

/* Values [4 last - 4 first], each kept where 16 random bits are below `kept`; SplitMix64 gives four of these a step. */
FOR_EACH_PROCESSOR
static void drop(const float *restrict values, float *restrict out, int64_t first, int64_t last, uint64_t seed,
                 uint32_t kept, float scale) {
    uint64_t words[WORDS];
    uint16_t bits[4 * WORDS];
    for (int64_t start = first; start < last; start += WORDS) {
        int64_t count = min64(WORDS, last - start);
        for (int64_t i = 0; i < count; i++) {
            uint64_t word = seed + (uint64_t)(start + i + 1) * 0x9e3779b97f4a7c15u;
            word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9u;
            word = (word ^ (word >> 27)) * 0x94d049bb133111ebu;
            words[i] = word ^ (word >> 31);
        }
        memcpy(bits, words, sizeof bits);
        for (int64_t i = 0; i < 4 * count; i++)
            out[4 * start + i] = values[4 * start + i] * ((uint32_t)bits[i] < kept ? scale : 0.0f);
    }
}

/* Values [count], a multiple of 4, of which kept / 65536 are kept and scaled up; the same for the same seed. */
EXPORT int drop_values(const float *values, float *out, int64_t count, int64_t seed, int64_t kept, int threads) {
    int64_t fours = count / 4;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t part = 0; part < threads; part++)
        drop(values, out, fours * part / threads, fours * (part + 1) / threads, (uint64_t)seed, (uint32_t)kept,
             65536.0f / (float)kept);
    return 0;
}
