/* The running choice of the items that can be among the best k of a query. */
#ifndef RANKDISTILL_SELECTION_H
#define RANKDISTILL_SELECTION_H

#include "native.h"

/* Keys that sort as (score ascending, item descending): the best is the largest. */
static inline uint64_t key_of(float score, int32_t item) {
    uint32_t bits;
    float positive_zero = score + 0.0f;
    memcpy(&bits, &positive_zero, sizeof bits);
    bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return (uint64_t)bits << 32 | (uint32_t)~item;
}

static inline float score_of(uint64_t key) {
    uint32_t bits = (uint32_t)(key >> 32);
    float score;
    bits = bits & 0x80000000u ? bits & 0x7fffffffu : ~bits;
    memcpy(&score, &bits, sizeof score);
    return score;
}

static inline int32_t item_of(uint64_t key) { return (int32_t) ~(uint32_t)key; }

/* Puts `key` in the place of the smallest of `size` keys. */
static inline void replace_smallest(uint64_t *heap, int64_t size, uint64_t key) {
    int64_t place = 0;
    for (;;) {
        int64_t child = 2 * place + 1;
        if (child >= size) break;
        if (child + 1 < size && heap[child + 1] < heap[child]) child++;
        if (heap[child] >= key) break;
        heap[place] = heap[child];
        place = child;
    }
    heap[place] = key;
}

/* A query's k largest lower bounds, and the items whose upper bound reached the smallest of them when they were met.
 * An item below that threshold cannot be among the best k: k others are above it whatever the rounding was. */
typedef struct {
    uint64_t *bounds; /* [k], a heap */
    int64_t k;
    int32_t *items; /* [capacity] */
    float *upper;   /* [capacity] */
    int32_t count;  /* -1 where the items did not fit */
    int32_t capacity;
    float threshold;
} Selection;

static inline void drop_below_threshold(Selection *selection) {
    int32_t kept = 0;
    for (int32_t i = 0; i < selection->count; i++) {
        if (selection->upper[i] < selection->threshold) continue;
        selection->items[kept] = selection->items[i];
        selection->upper[kept++] = selection->upper[i];
    }
    selection->count = kept;
}

static inline void offer(Selection *selection, int32_t item, float upper, float lower) {
    if (selection->count < 0) return;
    if (lower > selection->threshold) {
        replace_smallest(selection->bounds, selection->k, key_of(lower, 0));
        selection->threshold = score_of(selection->bounds[0]);
    }
    if (selection->count == selection->capacity) {
        drop_below_threshold(selection);
        if (2 * selection->count > selection->capacity) {
            selection->count = -1;
            selection->threshold = INFINITY; /* nothing more is looked at: the query is ranked in full */
            return;
        }
    }
    selection->items[selection->count] = item;
    selection->upper[selection->count++] = upper;
}

#endif
