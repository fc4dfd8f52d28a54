/* The best k items of each query: approximate scores and their error bounds choose candidates, exact scores rank them.
 *
 * The exact score of an item is the product of the two float32 vectors summed in float64 (32 interleaved sums,
 * folded in halves), plus the bias, rounded to float32. A product of two float32 numbers is exact in float64, so the
 * score is the same on every processor, with or without fused multiply-add. */
#ifndef RANKDISTILL_SEARCH_H
#define RANKDISTILL_SEARCH_H

#include "selection.h"

/* The table that is searched: column c stands for item `ids[c]`, and
 * |exact - (approximate * scale + bias)| <= query_norm * coarse[c] + query_error * norm[c] + slack[c].
 * The arrays of columns are padded to a multiple of 16. */
typedef struct {
    int64_t columns, dim;
    const float *vectors, *bias; /* [I + 1, dim], [I + 1], by item */
    const int32_t *ids;          /* [columns] */
    float *scale, *upper_bias, *coarse, *norm, *slack; /* [columns]; upper_bias = bias + slack */
} Table;

/* Queries, what is left out of their lists, and their running choice. */
typedef struct {
    int64_t count, k, capacity, own_width;
    const float *vectors; /* [count, dim] */
    const float *scale, *norm, *error; /* [count] */
    const int64_t *users, *seen_starts; /* [count], [U + 1]; the items that a user has are left out ... */
    const int32_t *seen;
    const int32_t *own;                 /* [count, own_width]: ... and these of the query's own */
    uint64_t *bounds;   /* [count, k] */
    int32_t *items;     /* [count, capacity] */
    float *upper;       /* [count, capacity] */
    int32_t *counts;    /* [count] */
    float *thresholds;  /* [count] */
} Queries;

/* Items whose ranks are wanted, those of query q at starts[q] to starts[q + 1]; their keys and scores, and how many
 * items were found to stand before each. `starts` is null where no rank is wanted. */
typedef struct {
    const int64_t *starts;
    const int32_t *items;
    uint64_t *keys;
    float *scores; /* what the keys say */
    int64_t *before;
} Counted;

static inline Selection selection_of(const Queries *queries, int64_t query) {
    return (Selection){.bounds = queries->bounds + query * queries->k,
                       .k = queries->k,
                       .items = queries->items + query * queries->capacity,
                       .upper = queries->upper + query * queries->capacity,
                       .count = queries->counts[query],
                       .capacity = (int32_t)queries->capacity,
                       .threshold = queries->thresholds[query]};
}

static inline void keep(const Queries *queries, int64_t query, const Selection *selection) {
    queries->counts[query] = selection->count;
    queries->thresholds[query] = selection->threshold;
}

FOR_EACH_PROCESSOR
static bool is_among(int32_t item, const int32_t *items, int64_t count) {
    int found = 0;
    for (int64_t i = 0; i < count; i++) found += items[i] == item;
    return found > 0;
}

static inline bool is_excluded(const Queries *queries, int64_t query, int32_t item) {
    int64_t user = queries->users[query], start = queries->seen_starts[user];
    return is_among(item, queries->own + query * queries->own_width, queries->own_width) ||
           is_among(item, queries->seen + start, queries->seen_starts[user + 1] - start);
}

enum { SUMS = 32 };

/* The exact score; see the head of this file. */
FOR_EACH_PROCESSOR
static float exact_score(const float *query, const float *vector, int64_t dim, float bias) {
    double sums[SUMS] = {0};
    int64_t whole = dim - dim % SUMS;
    for (int64_t start = 0; start < whole; start += SUMS)
        for (int64_t i = 0; i < SUMS; i++) sums[i] += (double)query[start + i] * (double)vector[start + i];
    for (int64_t i = 0; i < dim - whole; i++) sums[i] += (double)query[whole + i] * (double)vector[whole + i];
    for (int64_t half = SUMS / 2; half > 0; half /= 2)
        for (int64_t i = 0; i < half; i++) sums[i] += sums[i + half];
    return (float)(sums[0] + (double)bias);
}

static inline float score_item(const Table *table, const Queries *queries, int64_t query, int32_t item) {
    return exact_score(queries->vectors + query * table->dim, table->vectors + item * table->dim, table->dim,
                       table->bias[item]);
}

/* Offers column c if its upper bound reaches the threshold and the query may have the item. */
static inline void consider(const Table *table, const Queries *queries, int64_t query, Selection *selection,
                            int64_t c, float approximate) {
    float error = queries->norm[query] * table->coarse[c] + queries->error[query] * table->norm[c];
    float upper = approximate * (table->scale[c] * queries->scale[query]) + table->upper_bias[c] + error;
    if (!(upper >= selection->threshold) || is_excluded(queries, query, table->ids[c])) return;
    offer(selection, table->ids[c], upper, upper - 2 * (error + table->slack[c]));
}

#endif
