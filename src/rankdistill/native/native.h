/* What the kernels share. Every kernel returns 0, or 1 where there was no memory. */
#ifndef RANKDISTILL_NATIVE_H
#define RANKDISTILL_NATIVE_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

/* A loop that is compiled for each generation of x86 and chosen when the library is loaded. */
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define FOR_EACH_PROCESSOR __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#define HAS_VNNI_CODE 1
#else
#define FOR_EACH_PROCESSOR
#define HAS_VNNI_CODE 0
#endif

static inline int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

#endif
