/* Tables of which a training step touches few rows: reading them, scoring them, and Adam on the rows that were read.
 *
 * Adam with weight decay changes every row at every step, touched or not. A row that no batch names is left as it is
 * and brought up to date when it is next read: what it has missed has a closed form, since nothing but its own momentum
 * and the weight decay have moved it. */
#include "vectors.h"

typedef struct {
    int64_t rows, dim;
    float *values, *mean, *square; /* [rows, dim]: the parameters, the averages of gradient and squared gradient */
    int32_t *last;                 /* [rows], the step that a row has come to; null where none is made up for */
    int32_t *chains;               /* [rows], -1 between two calls */
} RowTable;

/* Adam's settings, and for each step s from 0: rate[s] = lr sqrt(1 - b2^s) / (1 - b1^s), epsilon[s] = e sqrt(1 - b2^s),
 * so that a step is  value -= rate[s] mean / (sqrt(square) + epsilon[s]). */
typedef struct {
    const float *constants; /* beta1, beta2, weight decay */
    const float *rate, *epsilon;
} Adam;

FOR_EACH_PROCESSOR
static void adam_step(float *restrict value, float *restrict mean, float *restrict square,
                      const float *restrict gradient, int64_t dim, const float *constants, float rate, float epsilon) {
    float beta1 = constants[0], beta2 = constants[1], decay = constants[2];
    for (int64_t i = 0; i < dim; i++) {
        float g = gradient[i] + decay * value[i];
        mean[i] += (1 - beta1) * (g - mean[i]);
        square[i] = beta2 * square[i] + (1 - beta2) * g * g;
        value[i] -= rate * mean[i] / (sqrtf(square[i]) + epsilon);
    }
}

/* Steps that a row has missed, up to a step t: with j counting them, r = b1 / sqrt(b2) and q = 1 / sqrt(b2), the sums
 * momentum = sum_j rate_j r^j and decay = sum_j rate_j (q^j - r^j). Over sqrt(square), which shrinks by sqrt(b2) at
 * each step, they are how far a row goes by its momentum, and the share of it that weight decay takes. */
typedef struct {
    double momentum, decay, kept_mean, kept_square;
} Missed;

/* The sums for 0, 1, ... `most` missed steps; each from the one before, for the earlier step comes in front. */
static void sum_missed(Missed *missed, int64_t most, int64_t step, const Adam *adam) {
    double beta1 = adam->constants[0], beta2 = adam->constants[1], slowing = 1 / sqrt(beta2), whole = 0;
    missed[0] = (Missed){0, 0, 1, 1};
    for (int64_t j = 1; j <= most; j++) {
        double rate = adam->rate[step - j + 1];
        double momentum = beta1 * slowing * (rate + missed[j - 1].momentum);
        whole = slowing * (rate + whole);
        missed[j] = (Missed){momentum, whole - momentum, missed[j - 1].kept_mean * beta1,
                             missed[j - 1].kept_square * beta2};
    }
}

/* Whether the closed form holds: the squares of the gradients are so far above those of the weight decay over the
 * missed steps that the latter change them by less than a thousandth, and the decay takes no more than half of the row.
 * Neither holds before a row's first gradient. */
FOR_EACH_PROCESSOR
static bool outweighs_decay(const float *restrict value, const float *restrict square, int64_t dim, float share,
                            float least) {
    int below = 0;
    for (int64_t i = 0; i < dim; i++) {
        float wanted = share * value[i] * value[i];
        below += square[i] < (wanted > least ? wanted : least);
    }
    return below == 0;
}

FOR_EACH_PROCESSOR
static void make_up(float *restrict value, float *restrict mean, float *restrict square, int64_t dim,
                    float weight_decay, float momentum, float decay, float kept_mean, float kept_square,
                    float epsilon) {
    for (int64_t i = 0; i < dim; i++) {
        float size = sqrtf(square[i]) + epsilon, rate = decay * weight_decay / size;
        float lost = rate / (1 + rate * (0.5f + rate / 12)); /* 1 - exp(-rate) */
        value[i] = (value[i] - momentum * mean[i] / size) * (1 - lost);
        mean[i] = kept_mean * mean[i] + (1 - kept_mean) * weight_decay * value[i];
        square[i] *= kept_square;
    }
}

/* Makes up for all that a row has missed since step `last`; `nothing` [dim] is zero. */
static void bring_up(const RowTable *table, const Adam *adam, int64_t row, int64_t last, int64_t step,
                     const Missed *missed, const float *nothing) {
    float *value = table->values + row * table->dim, *mean = table->mean + row * table->dim;
    float *square = table->square + row * table->dim, decay = adam->constants[2];
    const Missed *all = &missed[step - last];
    double share = 1000 * (1 - all->kept_square) / all->kept_square * decay * decay, least = 2 * all->decay * decay;
    if (outweighs_decay(value, square, table->dim, (float)share, (float)(least * least)))
        make_up(value, mean, square, table->dim, decay, (float)all->momentum, (float)all->decay,
                (float)all->kept_mean, (float)all->kept_square, adam->epsilon[step]);
    else
        for (int64_t s = last + 1; s <= step; s++)
            adam_step(value, mean, square, nothing, table->dim, adam->constants, adam->rate[s], adam->epsilon[s]);
}

/* Brings the given rows [count] up to date with a step; `rows` null means the whole table. */
EXPORT int bring_rows_up(const RowTable *table, const Adam *adam, const int64_t *rows, int64_t count, int64_t step,
                         int threads) {
    if (!table->last) return 0;
    int64_t most = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t gap = step - table->last[rows ? rows[i] : i];
        most = gap > most ? gap : most;
    }
    if (!most) return 0;
    Missed *missed = malloc((size_t)(most + 1) * sizeof *missed);
    float *nothing = calloc((size_t)table->dim, sizeof *nothing);
    int failed = !missed || !nothing;
    if (!failed) {
        sum_missed(missed, most, step, adam);
#pragma omp parallel for schedule(dynamic, 64) num_threads(threads)
        for (int64_t i = 0; i < count; i++) {
            int64_t row = rows ? rows[i] : i;
            int32_t last = __atomic_exchange_n(&table->last[row], (int32_t)step, __ATOMIC_RELAXED);
            if (last < step) bring_up(table, adam, row, last, step, missed, nothing);
        }
    }
    free(missed);
    free(nothing);
    return failed;
}

/* Copies the given rows [count] to `out` [count, dim]. */
EXPORT int gather_rows(const float *values, int64_t dim, const int64_t *rows, int64_t count, float *out, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < count; i++)
        memcpy(out + i * dim, values + rows[i] * dim, (size_t)dim * sizeof *out);
    return 0;
}

/* Scores [count, width] of rows [count, width] for queries [count, dim]. */
EXPORT int score_rows(const float *queries, const float *values, const float *bias, int64_t dim, const int64_t *rows,
                      int64_t count, int64_t width, float *scores, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t query = 0; query < count; query++)
        for (int64_t i = query * width; i < (query + 1) * width; i++)
            scores[i] = product(queries + query * dim, values + rows[i] * dim, dim) + bias[rows[i]];
    return 0;
}

/* The gradient [count, dim] of the queries, from those [count, width] of their scores. */
EXPORT int score_rows_backward(const float *gradients, const float *values, int64_t dim, const int64_t *rows,
                               int64_t count, int64_t width, float *out, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t query = 0; query < count; query++) {
        memset(out + query * dim, 0, (size_t)dim * sizeof *out);
        for (int64_t i = query * width; i < (query + 1) * width; i++)
            add_scaled(out + query * dim, values + rows[i] * dim, gradients[i], dim);
    }
    return 0;
}

/* One step of Adam on the rows [count] that have gradients, the same row any number of times. The gradient of rows[i]
 * is vectors[sources[i]], or vectors[i / width] without sources, times scales[i] where there are scales. */
EXPORT int step_rows(const RowTable *table, const Adam *adam, const int64_t *rows, int64_t count, const float *vectors,
                     const float *scales, const int64_t *sources, int64_t width, int64_t step, int threads) {
    int64_t dim = table->dim, distinct = 0;
    int32_t *next = malloc((size_t)(count + 1) * sizeof *next), *first = malloc((size_t)(count + 1) * sizeof *first);
    int failed = !next || !first;
    for (int64_t i = 0; !failed && i < count; i++) { /* the places of each row as a chain */
        int32_t *chain = &table->chains[rows[i]];
        if (*chain < 0) first[distinct++] = (int32_t)i;
        next[i] = *chain;
        *chain = (int32_t)i;
    }
#pragma omp parallel num_threads(threads) reduction(| : failed)
    {
        float *gradient = malloc((size_t)dim * sizeof *gradient);
        failed |= !gradient;
#pragma omp for schedule(dynamic, 32)
        for (int64_t d = 0; d < distinct; d++) {
            int64_t row = rows[first[d]];
            int32_t chain = table->chains[row];
            table->chains[row] = -1;
            if (failed) continue;
            memset(gradient, 0, (size_t)dim * sizeof *gradient);
            for (; chain >= 0; chain = next[chain]) {
                int64_t source = sources ? sources[chain] : chain / width;
                add_scaled(gradient, vectors + source * dim, scales ? scales[chain] : 1.0f, dim);
            }
            adam_step(table->values + row * dim, table->mean + row * dim, table->square + row * dim, gradient, dim,
                      adam->constants, adam->rate[step], adam->epsilon[step]);
            if (table->last) table->last[row] = (int32_t)step;
        }
        free(gradient);
    }
    free(next);
    free(first);
    return failed;
}
