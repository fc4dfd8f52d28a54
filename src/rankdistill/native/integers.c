/* The search through products of integers, on processors with AVX-512 VNNI: 64 products of int8, or 32 of int16, in one
 * instruction. */
#include "search.h"

#if HAS_VNNI_CODE

#include <immintrin.h>

enum { TILE_QUERIES = 8, TILE_VECTORS = 3, LANES = 16, BLOCK_QUERIES = 64 };

/* Columns and queries as integers: int8 with columns as uint8 (the value + 128), or int16. A column's values stand side
 * by side in steps of 32 bits, in groups of 16 columns; `offsets` [queries] takes from a product what the 128 adds. */
typedef struct {
    int64_t steps;
    const void *columns; /* [groups, steps, 16] of 32 bits */
    const void *queries; /* [queries, steps] of 32 bits */
    const int32_t *offsets;
} Integers;

#define WITH_VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,popcnt")))

/* Products of 8 queries with 48 columns, in registers. */
WITH_VNNI static inline __attribute__((always_inline)) void multiply_tile(
    const Integers *integers, bool wide, int64_t first_query, int64_t tile_queries, int64_t first_group,
    int64_t tile_groups, __m512i products[TILE_QUERIES][TILE_VECTORS]) {
    __m512i sums[TILE_QUERIES][TILE_VECTORS]; /* indexed by constants alone, so that they stay in registers */
    const int32_t *rows[TILE_QUERIES];
    const int32_t *groups[TILE_VECTORS];
#pragma GCC unroll 8
    for (int q = 0; q < TILE_QUERIES; q++) {
        int64_t query = first_query + (q < tile_queries ? q : 0);
        rows[q] = (const int32_t *)integers->queries + query * integers->steps;
#pragma GCC unroll 3
        for (int v = 0; v < TILE_VECTORS; v++) sums[q][v] = _mm512_set1_epi32(integers->offsets[query]);
    }
#pragma GCC unroll 3
    for (int v = 0; v < TILE_VECTORS; v++)
        groups[v] = (const int32_t *)integers->columns +
                    (first_group + (v < tile_groups ? v : 0)) * integers->steps * LANES;
    for (int64_t step = 0; step < integers->steps; step++) {
        __m512i columns[TILE_VECTORS];
#pragma GCC unroll 3
        for (int v = 0; v < TILE_VECTORS; v++) columns[v] = _mm512_loadu_si512(groups[v] + step * LANES);
#pragma GCC unroll 8
        for (int q = 0; q < TILE_QUERIES; q++) {
            __m512i query = _mm512_set1_epi32(rows[q][step]);
#pragma GCC unroll 3
            for (int v = 0; v < TILE_VECTORS; v++)
                sums[q][v] = wide ? _mm512_dpwssd_epi32(sums[q][v], columns[v], query)
                                  : _mm512_dpbusd_epi32(sums[q][v], columns[v], query);
        }
    }
#pragma GCC unroll 8
    for (int q = 0; q < TILE_QUERIES; q++)
#pragma GCC unroll 3
        for (int v = 0; v < TILE_VECTORS; v++) products[q][v] = sums[q][v];
}

WITH_VNNI static __attribute__((noinline)) void multiply_int8(const Integers *integers, int64_t first_query,
                                                              int64_t tile_queries, int64_t first_group,
                                                              int64_t tile_groups,
                                                              __m512i products[TILE_QUERIES][TILE_VECTORS]) {
    multiply_tile(integers, false, first_query, tile_queries, first_group, tile_groups, products);
}

WITH_VNNI static __attribute__((noinline)) void multiply_int16(const Integers *integers, int64_t first_query,
                                                               int64_t tile_queries, int64_t first_group,
                                                               int64_t tile_groups,
                                                               __m512i products[TILE_QUERIES][TILE_VECTORS]) {
    multiply_tile(integers, true, first_query, tile_queries, first_group, tile_groups, products);
}

/* Counts which of 16 columns from `column` on stand before the query's relevant items, by their bounds where these say
 * it, else by their exact scores. */
WITH_VNNI static void count_lanes(const Table *table, const Queries *queries, const Counted *counted, int64_t query,
                                  int64_t column, __mmask16 real, __m512 upper, __m512 lower) {
    for (int64_t place = counted->starts[query]; place < counted->starts[query + 1]; place++) {
        __m512 score = _mm512_set1_ps(counted->scores[place]);
        __mmask16 surely = _mm512_mask_cmp_ps_mask(real, lower, score, _CMP_GT_OQ);
        __mmask16 unsure = _mm512_mask_cmp_ps_mask(real, upper, score, _CMP_GE_OQ) & (__mmask16)~surely;
        int64_t before = __builtin_popcount(surely);
        for (; __builtin_expect(unsure, 0); unsure &= unsure - 1) {
            int32_t item = table->ids[column + __builtin_ctz(unsure)];
            before += key_of(score_item(table, queries, query, item), item) > counted->keys[place];
        }
        counted->before[place] += before;
    }
}

/* Compares the products with the thresholds at once; they are never stored. */
WITH_VNNI static void search_tile(const Table *table, const Queries *queries, const Counted *counted,
                                  int64_t first_query, int64_t tile_queries, int64_t first_group, int64_t tile_groups,
                                  __m512i products[TILE_QUERIES][TILE_VECTORS], Selection *selections) {
    for (int v = 0; v < tile_groups; v++) {
        int64_t column = (first_group + v) * LANES;
        __m512 scale = _mm512_loadu_ps(table->scale + column), bias = _mm512_loadu_ps(table->upper_bias + column);
        __m512 coarse = _mm512_loadu_ps(table->coarse + column), norm = _mm512_loadu_ps(table->norm + column);
        __m512 slack = _mm512_loadu_ps(table->slack + column);
        __mmask16 real = column + LANES <= table->columns ? 0xffff : (__mmask16)((1u << (table->columns - column)) - 1);
        for (int q = 0; q < tile_queries; q++) {
            int64_t query = first_query + q;
            __m512 product = _mm512_cvtepi32_ps(products[q][v]);
            __m512 error = _mm512_fmadd_ps(coarse, _mm512_set1_ps(queries->norm[query]),
                                           _mm512_mul_ps(norm, _mm512_set1_ps(queries->error[query])));
            __m512 upper = _mm512_add_ps(
                _mm512_fmadd_ps(product, _mm512_mul_ps(scale, _mm512_set1_ps(queries->scale[query])), bias), error);
            __mmask16 hits = _mm512_mask_cmp_ps_mask(real, upper, _mm512_set1_ps(selections[q].threshold), _CMP_GE_OQ);
            if (__builtin_expect(hits != 0, 0)) {
                float values[LANES];
                _mm512_storeu_ps(values, product);
                for (; hits; hits &= hits - 1) {
                    int lane = __builtin_ctz(hits);
                    consider(table, queries, query, &selections[q], column + lane, values[lane]);
                }
            }
            if (counted->starts) {
                __m512 lower = _mm512_fnmadd_ps(_mm512_set1_ps(2), _mm512_add_ps(error, slack), upper);
                count_lanes(table, queries, counted, query, column, real, upper, lower);
            }
        }
    }
}

WITH_VNNI static void search_queries(const Table *table, const Queries *queries, const Integers *integers, bool wide,
                                     const Counted *counted, int64_t first, int64_t last) {
    Selection selections[BLOCK_QUERIES];
    __m512i products[TILE_QUERIES][TILE_VECTORS];
    int64_t groups = (table->columns + LANES - 1) / LANES;
    for (int64_t query = first; query < last; query++) selections[query - first] = selection_of(queries, query);
    for (int64_t group = 0; group < groups; group += TILE_VECTORS)
        for (int64_t query = first; query < last; query += TILE_QUERIES) {
            int64_t tile_queries = min64(TILE_QUERIES, last - query), tile_groups = min64(TILE_VECTORS, groups - group);
            (wide ? multiply_int16 : multiply_int8)(integers, query, tile_queries, group, tile_groups, products);
            search_tile(table, queries, counted, query, tile_queries, group, tile_groups, products,
                        selections + (query - first));
        }
    for (int64_t query = first; query < last; query++) keep(queries, query, &selections[query - first]);
}

/* Looks at all columns through products of integers, of int16 where `wide`. */
EXPORT int search_integers(const Table *table, const Queries *queries, const Integers *integers, int64_t wide,
                           const Counted *counted, int threads) {
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int64_t first = 0; first < queries->count; first += BLOCK_QUERIES)
        search_queries(table, queries, integers, wide != 0, counted, first,
                       min64(queries->count, first + BLOCK_QUERIES));
    return 0;
}

EXPORT int has_vnni(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

#else

EXPORT int has_vnni(void) { return 0; }

#endif
