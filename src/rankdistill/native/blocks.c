/* The search through blocks of products that were made elsewhere. */
#include "search.h"

enum { CHUNK = 64, COUNTED = 1024 };

FOR_EACH_PROCESSOR
static int reached(const float *approximate, const Table *table, int64_t first, int64_t count, float scale, float norm,
                   float error, float threshold) {
    const float *scales = table->scale + first, *upper_bias = table->upper_bias + first;
    const float *coarse = table->coarse + first, *norms = table->norm + first;
    int found = 0;
    for (int64_t i = 0; i < count; i++) {
        float upper = approximate[i] * (scales[i] * scale) + upper_bias[i] + (norm * coarse[i] + error * norms[i]);
        found += upper >= threshold;
    }
    return found;
}

/* Looks at the approximate products [count, width] of all queries with the columns from `first` on. */
EXPORT int search_block(const Table *table, const Queries *queries, const float *block, int64_t first, int64_t width,
                         int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t query = 0; query < queries->count; query++) {
        Selection selection = selection_of(queries, query);
        const float *row = block + query * width;
        for (int64_t start = 0; start < width; start += CHUNK) {
            int64_t count = min64(CHUNK, width - start);
            if (!reached(row + start, table, first + start, count, queries->scale[query], queries->norm[query],
                         queries->error[query], selection.threshold))
                continue;
            for (int64_t i = start; i < start + count; i++)
                consider(table, queries, query, &selection, first + i, row[i]);
        }
        keep(queries, query, &selection);
    }
    return 0;
}

FOR_EACH_PROCESSOR
static void count_against(const float *row, const Table *table, int64_t first, int64_t count, float scale, float norm,
                          float error, float score, int64_t *surely, int64_t *maybe) {
    const float *scales = table->scale + first, *upper_bias = table->upper_bias + first;
    const float *coarse = table->coarse + first, *norms = table->norm + first, *slack = table->slack + first;
    int above = 0, reaching = 0;
    for (int64_t i = 0; i < count; i++) {
        float bound = norm * coarse[i] + error * norms[i];
        float upper = row[i] * (scales[i] * scale) + upper_bias[i] + bound;
        above += upper - 2 * (bound + slack[i]) > score;
        reaching += upper >= score;
    }
    *surely += above;
    *maybe = reaching - above;
}

/* Adds to `before` [n] how many of the columns from `first` on stand before each relevant item of each query, those of
 * equal score by their index. Excluded items are counted too. */
EXPORT int count_before(const Table *table, const Queries *queries, const float *block, int64_t first, int64_t width,
                        const Counted *counted, int threads) {
#pragma omp parallel for schedule(dynamic, 8) num_threads(threads)
    for (int64_t query = 0; query < queries->count; query++) {
        const float *row = block + query * width;
        float scale = queries->scale[query], norm = queries->norm[query], error = queries->error[query];
        for (int64_t place = counted->starts[query]; place < counted->starts[query + 1]; place++) {
            float score = counted->scores[place];
            for (int64_t start = 0; start < width; start += COUNTED) {
                int64_t count = min64(COUNTED, width - start), unsure;
                count_against(row + start, table, first + start, count, scale, norm, error, score,
                              &counted->before[place], &unsure);
                for (int64_t i = start; unsure > 0; i++) {
                    int64_t c = first + i;
                    float bound = norm * table->coarse[c] + error * table->norm[c];
                    float upper = row[i] * (table->scale[c] * scale) + table->upper_bias[c] + bound;
                    if (!(upper >= score) || upper - 2 * (bound + table->slack[c]) > score) continue;
                    unsure--;
                    int32_t item = table->ids[c];
                    uint64_t key = key_of(score_item(table, queries, query, item), item);
                    counted->before[place] += key > counted->keys[place];
                }
            }
        }
    }
    return 0;
}
