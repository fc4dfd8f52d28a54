/* How a search begins and ends, whatever products it is made from. */
#include "search.h"

EXPORT int start_search(const Queries *queries) {
    for (int64_t query = 0; query < queries->count; query++) {
        queries->counts[query] = 0;
        queries->thresholds[query] = -INFINITY;
        for (int64_t i = 0; i < queries->k; i++) queries->bounds[query * queries->k + i] = key_of(-INFINITY, 0);
    }
    return 0;
}

static inline void rank_item(const Table *table, const Queries *queries, int64_t query, int32_t item, uint64_t *best) {
    uint64_t key = key_of(score_item(table, queries, query, item), item);
    if (key > best[0]) replace_smallest(best, queries->k, key);
}

/* The best k of each query's candidates, best first; 0 and minus infinity behind the end of a shorter list. */
EXPORT int finish_search(const Table *table, const Queries *queries, int32_t *items, float *scores, int threads) {
#pragma omp parallel for schedule(dynamic, 16) num_threads(threads)
    for (int64_t query = 0; query < queries->count; query++) {
        Selection selection = selection_of(queries, query);
        uint64_t *best = selection.bounds;
        int64_t k = queries->k;
        if (selection.count >= 0) drop_below_threshold(&selection);
        for (int64_t i = 0; i < k; i++) best[i] = key_of(-INFINITY, 0);
        for (int32_t i = 0; i < selection.count; i++) rank_item(table, queries, query, selection.items[i], best);
        if (selection.count < 0)
            for (int64_t c = 0; c < table->columns; c++)
                if (!is_excluded(queries, query, table->ids[c])) rank_item(table, queries, query, table->ids[c], best);
        for (int64_t left = k; left > 0; left--) { /* the smallest of those left stands last */
            uint64_t key = best[0], moved = best[left - 1];
            items[query * k + left - 1] = item_of(key);
            scores[query * k + left - 1] = score_of(key);
            if (left > 1) replace_smallest(best, left - 1, moved);
        }
    }
    return 0;
}

/* The keys of each query's relevant items, which order them among all others; nothing is counted yet. */
EXPORT int score_relevant(const Table *table, const Queries *queries, const Counted *counted, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t query = 0; query < queries->count; query++)
        for (int64_t place = counted->starts[query]; place < counted->starts[query + 1]; place++) {
            int32_t item = counted->items[place];
            counted->keys[place] = key_of(score_item(table, queries, query, item), item);
            counted->scores[place] = score_of(counted->keys[place]);
            counted->before[place] = 0;
        }
    return 0;
}

static int ascending(const void *a, const void *b) {
    int32_t first = *(const int32_t *)a, second = *(const int32_t *)b;
    return (first > second) - (first < second);
}

/* Takes from `before` [n] the excluded items that were counted: those that `is_column` [I + 1] marks, each once; and
 * says in `left_out` [n] which relevant items are among the excluded. */
EXPORT int discount_excluded(const Table *table, const Queries *queries, const uint8_t *is_column,
                             const Counted *counted, uint8_t *left_out, int threads) {
    int failed = 0;
#pragma omp parallel for schedule(dynamic, 8) num_threads(threads) reduction(| : failed)
    for (int64_t query = 0; query < queries->count; query++) {
        int64_t user = queries->users[query], start = queries->seen_starts[user], own = queries->own_width;
        int64_t seen = queries->seen_starts[user + 1] - start, count = seen + own;
        int32_t *excluded = malloc((size_t)(count + 1) * sizeof *excluded);
        if (!excluded) {
            failed = 1;
            continue;
        }
        memcpy(excluded, queries->seen + start, (size_t)seen * sizeof *excluded);
        memcpy(excluded + seen, queries->own + query * own, (size_t)own * sizeof *excluded);
        qsort(excluded, (size_t)count, sizeof *excluded, ascending);
        for (int64_t i = 0; i < count; i++) {
            int32_t item = excluded[i];
            if (!is_column[item] || (i && item == excluded[i - 1])) continue;
            uint64_t key = key_of(score_item(table, queries, query, item), item);
            for (int64_t place = counted->starts[query]; place < counted->starts[query + 1]; place++) {
                counted->before[place] -= key > counted->keys[place];
                left_out[place] |= item == counted->items[place];
            }
        }
        free(excluded);
    }
    return failed;
}
