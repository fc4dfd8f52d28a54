/* Softmax over the whole catalogue: the loss of a row of scores and its gradient, in few passes over the row. */
#include "native.h"

enum { LANES = 16, BLOCK = 4096 }; /* sums are of float32 in a block, and of float64 over the blocks */

static const float LEAST = -87.0f; /* e^x below it counts as e^-87, which is no more than the sum's last bit */

/* e^x for x <= 0, with a relative error below 3e-7; of what is no number it is none. */
static inline float exp_below_zero(float x) {
    const float shift = 12582912.0f; /* 1.5 * 2^23: adding it leaves an integer in the last bits */
    float kept = x < LEAST ? LEAST : x, shifted = kept * 1.44269504f + shift, power = shifted - shift;
    float rest = kept - power * 0.693359375f + power * 2.12194440e-4f, value = 1.9875691500e-4f;
    uint32_t bits, shift_bits;
    value = value * rest + 1.3981999507e-3f;
    value = value * rest + 8.3334519073e-3f;
    value = value * rest + 4.1665795894e-2f;
    value = value * rest + 1.6666665459e-1f;
    value = value * rest + 5.0000001201e-1f;
    value = value * rest * rest + rest + 1.0f;
    memcpy(&bits, &shifted, sizeof bits);
    memcpy(&shift_bits, &shift, sizeof shift_bits);
    bits = (bits - shift_bits + 127) << 23;
    memcpy(&shifted, &bits, sizeof shifted);
    return value * shifted;
}

FOR_EACH_PROCESSOR
static float largest_of(const float *restrict row, int64_t width) {
    float lanes[LANES], largest = -INFINITY;
    int64_t whole = width - width % LANES;
    for (int64_t j = 0; j < LANES; j++) lanes[j] = -INFINITY;
    for (int64_t start = 0; start < whole; start += LANES)
        for (int64_t j = 0; j < LANES; j++) lanes[j] = row[start + j] > lanes[j] ? row[start + j] : lanes[j];
    for (int64_t j = 0; j < LANES; j++) largest = lanes[j] > largest ? lanes[j] : largest;
    for (int64_t i = whole; i < width; i++) largest = row[i] > largest ? row[i] : largest;
    return largest;
}

/* Turns a row into e^((row - largest) / temperature). */
FOR_EACH_PROCESSOR
static void exponentials(float *row, int64_t width, float largest, float temperature) {
    float by = 1 / temperature;
    for (int64_t i = 0; i < width; i++) row[i] = exp_below_zero((row[i] - largest) * by);
}

FOR_EACH_PROCESSOR
static double sum_of(const float *restrict row, int64_t width) {
    double sum = 0;
    int64_t whole = width - width % LANES;
    for (int64_t first = 0; first < whole; first += BLOCK) {
        float lanes[LANES] = {0};
        for (int64_t start = first; start < min64(first + BLOCK, whole); start += LANES)
            for (int64_t j = 0; j < LANES; j++) lanes[j] += row[start + j];
        for (int64_t j = 0; j < LANES; j++) sum += lanes[j];
    }
    for (int64_t i = whole; i < width; i++) sum += row[i];
    return sum;
}

/* sum_i powers_i (row_i - largest) */
FOR_EACH_PROCESSOR
static double expected(const float *restrict powers, const float *restrict row, int64_t width, float largest) {
    double sum = 0;
    int64_t whole = width - width % LANES;
    for (int64_t first = 0; first < whole; first += BLOCK) {
        float lanes[LANES] = {0};
        for (int64_t start = first; start < min64(first + BLOCK, whole); start += LANES)
            for (int64_t j = 0; j < LANES; j++) lanes[j] += powers[start + j] * (row[start + j] - largest);
        for (int64_t j = 0; j < LANES; j++) sum += lanes[j];
    }
    for (int64_t i = whole; i < width; i++) sum += powers[i] * (row[i] - largest);
    return sum;
}

FOR_EACH_PROCESSOR
static void differences(float *restrict ours, const float *restrict theirs, int64_t width, float own_share,
                        float their_share) {
    for (int64_t i = 0; i < width; i++) ours[i] = ours[i] * own_share - theirs[i] * their_share;
}

FOR_EACH_PROCESSOR
static void scale(float *restrict row, int64_t width, float by) {
    for (int64_t i = 0; i < width; i++) row[i] *= by;
}

/* For each row of scores s and given ones t [count, width], the first column left out, both divided by a temperature:
 * `losses` [count], - sum_i softmax(t)_i log softmax(s)_i, and its `gradient` [count, width] by s; `entropies` [count]
 * of softmax(t). */
EXPORT int catalogue_cross_entropy(const float *scores, const float *given, int64_t count, int64_t width,
                                   const float *temperature, float *losses, float *entropies, float *gradient,
                                   int threads) {
    int failed = 0;
    float tau = *temperature;
#pragma omp parallel num_threads(threads) reduction(| : failed)
    {
        float *theirs = malloc((size_t)width * sizeof *theirs);
        failed = !theirs;
#pragma omp for schedule(static)
        for (int64_t b = 0; b < count; b++) {
            if (failed) continue;
            const float *s = scores + b * width + 1, *t = given + b * width + 1;
            float *ours = gradient + b * width + 1;
            float top = largest_of(s, width - 1), their_top = largest_of(t, width - 1);
            memcpy(ours, s, (size_t)(width - 1) * sizeof *ours);
            memcpy(theirs, t, (size_t)(width - 1) * sizeof *theirs);
            exponentials(ours, width - 1, top, tau);
            exponentials(theirs, width - 1, their_top, tau);
            double sum = sum_of(ours, width - 1), their_sum = sum_of(theirs, width - 1);
            losses[b] = (float)(log(sum) - expected(theirs, s, width - 1, top) / (their_sum * tau));
            entropies[b] = (float)(log(their_sum) - expected(theirs, t, width - 1, their_top) / (their_sum * tau));
            differences(ours, theirs, width - 1, (float)(1 / (sum * tau)), (float)(1 / (their_sum * tau)));
            ours[-1] = 0;
        }
        free(theirs);
    }
    return failed;
}

/* log sum e^s [count] over the columns of scores s [count, width] that are neither the first nor among `hidden`
 * [count, n], `nothing` where no column is left; and its `gradient` [count, width]. */
EXPORT int log_sum_of_others(const float *scores, int64_t count, int64_t width, const int64_t *hidden, int64_t n,
                             const float *nothing, float *sums, float *gradient, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t b = 0; b < count; b++) {
        const int64_t *left_out = hidden + b * n;
        float *row = gradient + b * width;
        memcpy(row, scores + b * width, (size_t)width * sizeof *row);
        row[0] = -INFINITY;
        for (int64_t i = 0; i < n; i++) row[left_out[i]] = -INFINITY;
        float top = largest_of(row, width);
        if (top == -INFINITY) {
            sums[b] = *nothing;
            memset(row, 0, (size_t)width * sizeof *row);
            continue;
        }
        exponentials(row, width, top, 1);
        double sum = sum_of(row, width);
        sums[b] = (float)(top + log(sum));
        scale(row, width, (float)(1 / sum));
        row[0] = 0;
        for (int64_t i = 0; i < n; i++) row[left_out[i]] = 0;
    }
    return 0;
}
