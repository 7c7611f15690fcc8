// How features and gates lie in memory, for both C files (layout.py has the same for Python).
//
// A feature x is [B, T, H, W, C] (channels last). A gate lacks the axis that its unit pools: T [B, H, W, C], H [B, T, W, C],
// W [B, T, H, C], C [B, T, H, W]. All arrays are contiguous.

#ifndef AIA_LAYOUT_H
#define AIA_LAYOUT_H

#include <float.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#define THREADS omp_get_max_threads()
#else
#define THREADS 1
#endif

#define R restrict
#define INLINE static inline __attribute__((always_inline))

typedef struct { // where the rows of C values begin in the gates of T, H and W, for one clip, frame, row and column
    size_t t, h, w;
} Rows;

INLINE Rows rows(int b, int t, int h, int w, int T, int H, int W, int C) {
    return (Rows){(((size_t)b * H + h) * W + w) * C, (((size_t)b * T + t) * W + w) * C, (((size_t)b * T + t) * H + h) * C};
}

INLINE size_t place(int b, int t, int h, int w, int T, int H, int W) { // of a row of C values in a feature
    return (((size_t)b * T + t) * H + h) * W + w;
}

// G = (T + H + W) / 3 for one channel of a row.
INLINE float mean_gate(const float *R gt, const float *R gh, const float *R gw, int c) {
    return (gt[c] + gh[c] + gw[c]) * (1 / 3.0f);
}

#endif
