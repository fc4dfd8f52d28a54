/* Ranks that are estimated against a sample of items. */
#include "native.h"

enum { BITS = 4096 };

/* Whether each user [count] has each item of an ascending sample [size]: `out` [count, size], which comes zeroed. */
EXPORT int seen_among(const int64_t *users, int64_t count, const int64_t *starts, const int32_t *seen,
                      const int64_t *sample, int64_t size, uint8_t *out, int threads) {
    uint64_t sampled[BITS / 64] = {0}; /* by the last bits of an item: most items are told from it not to be there */
    for (int64_t i = 0; i < size; i++) sampled[sample[i] % BITS / 64] |= (uint64_t)1 << sample[i] % 64;
#pragma omp parallel for schedule(dynamic, 16) num_threads(threads)
    for (int64_t b = 0; b < count; b++) {
        uint8_t *row = out + b * size;
        for (int64_t i = starts[users[b]]; i < starts[users[b] + 1]; i++) {
            if (!(sampled[seen[i] % BITS / 64] >> seen[i] % 64 & 1)) continue;
            int64_t first = 0, left = size;
            while (left > 0) { /* the first place that is not below the item */
                int64_t half = left / 2;
                bool below = sample[first + half] < seen[i];
                first = below ? first + half + 1 : first;
                left = below ? left - half - 1 : half;
            }
            for (; first < size && sample[first] == seen[i]; first++) row[first] = 1;
        }
    }
    return 0;
}

FOR_EACH_PROCESSOR
static int64_t count_above(float score, const float *sample, const uint8_t *counted, int64_t size) {
    int found = 0;
    for (int64_t i = 0; i < size; i++) found += (sample[i] > score) & counted[i];
    return found;
}

/* How many of the counted sample scores [count, size] are above each score [count, width]. */
EXPORT int count_above_sampled(const float *scores, int64_t count, int64_t width, const float *sample,
                               const uint8_t *counted, int64_t size, int64_t *above, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t b = 0; b < count; b++)
        for (int64_t i = b * width; i < (b + 1) * width; i++)
            above[i] = count_above(scores[i], sample + b * size, counted + b * size, size);
    return 0;
}
