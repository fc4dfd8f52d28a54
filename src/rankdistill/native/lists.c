/* Lists that a method takes of the student as it learns: the best of a row of scores, and where items stand in lists. */
#include "native.h"

enum { SAMPLED = 512, DIGITS = 11, BUCKETS = 1 << DIGITS, PASSES = 3 };

/* Bits that sort as the scores do, the highest score first. */
static inline uint32_t descending(float score) {
    uint32_t bits;
    float positive_zero = score + 0.0f;
    memcpy(&bits, &positive_zero, sizeof bits);
    return bits & 0x80000000u ? bits : ~(bits | 0x80000000u);
}

typedef struct {
    uint32_t key;
    int32_t column;
} Entry;

/* Sorts by the key; equal keys stay in their order. The outcome is in `entries`, `spare` is as large. */
static void sort_entries(Entry *entries, Entry *spare, int64_t count) {
    for (int pass = 0; pass < PASSES; pass++) {
        int32_t places[BUCKETS] = {0}, shift = pass * DIGITS, before = 0;
        for (int64_t i = 0; i < count; i++) places[entries[i].key >> shift & (BUCKETS - 1)]++;
        for (int64_t bucket = 0; bucket < BUCKETS; bucket++) {
            int32_t here = places[bucket];
            places[bucket] = before;
            before += here;
        }
        for (int64_t i = 0; i < count; i++) spare[places[entries[i].key >> shift & (BUCKETS - 1)]++] = entries[i];
        Entry *other = entries;
        entries = spare;
        spare = other;
    }
    memcpy(spare, entries, (size_t)count * sizeof *entries); /* after an odd number of passes it lies in the spare */
}

FOR_EACH_PROCESSOR
static int64_t columns_up_to(const float *row, int64_t width, float least, int32_t *columns) {
    int64_t count = 0;
    for (int64_t i = 0; i < width; i++) {
        columns[count] = (int32_t)i;
        count += !(row[i] < least);
    }
    return count;
}

/* A score that about `wanted` of a row reach, or somewhat more of them. */
static float score_reached_by(const float *row, int64_t width, double wanted, Entry *entries, Entry *spare) {
    for (int64_t i = 0; i < SAMPLED; i++) entries[i] = (Entry){descending(row[i * width / SAMPLED]), (int32_t)i};
    sort_entries(entries, spare, SAMPLED);
    double place = wanted * SAMPLED / (double)width;
    int64_t safe = (int64_t)(place + 2 * sqrt(place) + 1); /* seldom too few */
    return safe < SAMPLED ? row[entries[safe].column * width / SAMPLED] : -INFINITY;
}

static bool among(int64_t column, const int64_t *columns, int64_t count) {
    bool found = false;
    for (int64_t i = 0; i < count; i++) found |= columns[i] == column;
    return found;
}

/* The columns of the best k scores of each row [count, width], best first, of equal ones the first: `best` [count, k];
 * those that are left out [count, omitted] come after all others. A sample of a row says from which score on its columns
 * are sorted; all are where those were too few. */
EXPORT int best_columns(const float *scores, int64_t count, int64_t width, const int64_t *left_out, int64_t omitted,
                        int64_t k, int64_t *best, int threads) {
    int failed = 0;
    int64_t room = width > SAMPLED ? width : SAMPLED;
#pragma omp parallel num_threads(threads) reduction(| : failed)
    {
        Entry *entries = malloc((size_t)room * sizeof *entries), *spare = malloc((size_t)room * sizeof *spare);
        int32_t *columns = malloc((size_t)(width + 1) * sizeof *columns);
        failed = !entries || !spare || !columns;
#pragma omp for schedule(dynamic, 16)
        for (int64_t b = 0; b < count; b++) {
            if (failed) continue;
            const float *row = scores + b * width;
            const int64_t *last = left_out + b * omitted;
            float least = -INFINITY;
            if (width > 4 * SAMPLED) least = score_reached_by(row, width, (double)(k + omitted), entries, spare);
            int64_t found = columns_up_to(row, width, least, columns);
            if (found < k + omitted) found = columns_up_to(row, width, -INFINITY, columns);
            for (int64_t i = 0; i < found; i++)
                entries[i] = (Entry){among(columns[i], last, omitted) ? UINT32_MAX : descending(row[columns[i]]),
                                     columns[i]};
            sort_entries(entries, spare, found);
            for (int64_t i = 0; i < k; i++) best[b * k + i] = entries[i].column;
        }
        free(entries);
        free(spare);
        free(columns);
    }
    return failed;
}

/* The places [count, width] of items [count, width] in lists [count, length], from 1; length + 1 where an item is not
 * there. No index is above `largest`. */
EXPORT int places_in_lists(const int64_t *items, int64_t count, int64_t width, const int64_t *lists, int64_t length,
                           int64_t largest, int64_t *places, int threads) {
    int failed = 0;
#pragma omp parallel num_threads(threads) reduction(| : failed)
    {
        int64_t *place = malloc((size_t)(largest + 1) * sizeof *place);
        failed = !place;
        for (int64_t item = 0; !failed && item <= largest; item++) place[item] = length + 1;
#pragma omp for schedule(static)
        for (int64_t b = 0; b < count; b++) {
            if (failed) continue;
            const int64_t *list = lists + b * length;
            for (int64_t i = 0; i < length; i++) place[list[i]] = i + 1;
            for (int64_t i = 0; i < width; i++) places[b * width + i] = place[items[b * width + i]];
            for (int64_t i = 0; i < length; i++) place[list[i]] = length + 1;
        }
        free(place);
    }
    return failed;
}
