// An AIA module in inference on the CPU: gates and products, without anything that only a gradient needs.
//
// Features are float or bfloat16, gates are float; `layout.h` has their axes. Compiled once for each type of feature.

#include "layout.h"
#include <math.h>

// Values in a vector of this processor. GCC splits longer vectors by way of memory: with 16 on AVX2 a MobileNetV2 takes twice as
// long as with 8.
#ifndef LANES
#if defined __AVX512F__
#define LANES 16
#elif defined __AVX__
#define LANES 8
#else
#define LANES 4
#endif
#endif
#define COLUMNS 16 // columns of a picture, and
#define BLOCKS 2   // vectors of channels, that are pooled at a time: their pooled rows stay in the nearest cache

#ifdef BFLOAT16
typedef uint16_t element;
INLINE float load(element v) {
    uint32_t bits = (uint32_t)v << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}
INLINE element store(float f) { // to nearest, ties to even
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}
#else
typedef float element;
INLINE float load(element v) { return v; }
INLINE element store(float f) { return f; }
#endif

// A pooled map [L, M, N] has rows of whole vectors. A unit's two maps follow each other, the maximum and the sum: [B, 2, MAP].
// The padding behind each map keeps the maps from sharing the same sets of the cache.
#define ROW(N) (((size_t)(N) + LANES - 1) / LANES * LANES)
#define MAP(L, M, N) ((size_t)(L) * (M) * ROW(N) + LANES)

typedef float vec __attribute__((vector_size(LANES * sizeof(float))));
INLINE vec load_vec(const float *values) {
    vec v;
    memcpy(&v, values, sizeof v);
    return v;
}
INLINE void store_vec(float *values, vec v) { memcpy(values, &v, sizeof v); }
INLINE vec max_vec(vec a, vec b) {
    vec v;
    for (int i = 0; i < LANES; i++) v[i] = a[i] > b[i] ? a[i] : b[i];
    return v;
}

INLINE float max_of(float a, float b) { return a > b ? a : b; }
INLINE float min_of(float a, float b) { return a < b ? a : b; }

// exp(v) for |v| < 87, in steps that the compiler vectorizes. Sums may be reordered, so the relative error reaches 4e-6 at the
// ends of the range. The sigmoid stays within 1.2e-7 of the exact one.
INLINE float fast_exp(float v) {
    float n = rintf(v * 1.44269504f), r = v - n * 0.693359375f + n * 2.12194440e-4f;
    float p = 1 + r * (1 + r * (0.5f + r * (0.166666667f + r * (0.0416666667f + r * (0.00833333333f + r * 0.00138888889f)))));
    int32_t bits = ((int32_t)n + 127) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    return p * power;
}

// Makes the compiler forget what it knows about the values of an array. It is told that all it computes is finite, so it may
// drop a test of a value whose computation it sees, as clang 22 does.
#define FORGET(values) __asm__ volatile("" : : "r"(values) : "memory")

INLINE int is_not_finite(const float *v) { // of an array after FORGET
    uint32_t bits;
    memcpy(&bits, v, sizeof bits);
    return (bits & 0x7f800000) == 0x7f800000;
}

INLINE float reciprocal(float v) { // for normal v > 0, to 1.3 units in the last place; a division takes much longer
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    bits = 0x7ef311c7 - bits; // within 13 %; each Newton step squares the error
    float r;
    memcpy(&r, &bits, sizeof r);
    for (int i = 0; i < 4; i++) r *= 2 - v * r;
    return r;
}

INLINE float sigmoid(float v) { return reciprocal(1 + fast_exp(-min_of(max_of(v, -80), 80))); }

// One unit: sigmoid(k * maps + shift). The batch norm's scale is folded into the 3x3x3 taps k. The second map holds sums over
// `pooled` values. Returns whether a value is not finite, because the sigmoid would hide it.
static int conv_bn_sigmoid(const float *maps, int pooled, const float *k, float shift, int B, int L, int M, int N, float *gate) {
    int non_finite = 0;
    float taps[54];
    for (int i = 0; i < 54; i++) taps[i] = i < 27 ? k[i] : k[i] / pooled;
    // What each value of the rows adds to the outputs after, at and before it. Two vectors at a time keep the processor busy.
    float before[ROW(N) + 2 * LANES], same[ROW(N) + LANES], after[ROW(N) + 2 * LANES];
    memset(before, 0, sizeof before);
#pragma omp for schedule(static) nowait
    for (int line = 0; line < B * L * M; line++) {
        int b = line / (L * M), l = line / M % L, m = line % M;
        const float *rows[18], *weights[18];
        int inside = 0; // rows outside the map add nothing
        for (int f = 0; f < 2; f++)
            for (int i = l ? 0 : 1; i < 3 && l + i <= L; i++)
                for (int j = m ? 0 : 1; j < 3 && m + j <= M; j++) {
                    rows[inside] = maps + (2 * b + f) * MAP(L, M, N) + ((size_t)(l + i - 1) * M + m + j - 1) * ROW(N);
                    weights[inside++] = taps + 3 * ((f * 3 + i) * 3 + j);
                }
        for (int n = 0; n < N; n += 2 * LANES) {
            vec a0 = {0}, a1 = {0}, s0 = {0}, s1 = {0}, z0 = {0}, z1 = {0};
            for (int r = 0; r < inside; r++) {
                vec v0 = load_vec(rows[r] + n), v1 = load_vec(rows[r] + n + LANES);
                float t0 = weights[r][0], t1 = weights[r][1], t2 = weights[r][2];
                a0 += t0 * v0, a1 += t0 * v1, s0 += t1 * v0, s1 += t1 * v1, z0 += t2 * v0, z1 += t2 * v1;
            }
            store_vec(before + LANES + n, a0), store_vec(before + 2 * LANES + n, a1);
            store_vec(same + n, s0), store_vec(same + LANES + n, s1);
            store_vec(after + n, z0), store_vec(after + LANES + n, z1);
        }
        after[N] = 0; // outside the row, as before[LANES - 1] is
        for (int n = 0; n < N; n++) {
            float v = before[LANES + n - 1] + same[n] + after[n + 1] + shift;
            same[n] = v;
            gate[(size_t)line * N + n] = sigmoid(v);
        }
        FORGET(same);
        for (int n = 0; n < N; n++) non_finite |= is_not_finite(same + n);
    }
    return non_finite;
}

INLINE vec load_element_vec(const element *x, int n) {
#ifndef BFLOAT16
    if (n == LANES) return load_vec(x);
#endif
    element padded[LANES] = {0};
    memcpy(padded, x, n * sizeof *x);
#ifdef BFLOAT16
    typedef uint16_t narrow __attribute__((vector_size(LANES * sizeof(uint16_t))));
    typedef uint32_t wide __attribute__((vector_size(LANES * sizeof(uint32_t))));
    narrow bits;
    memcpy(&bits, padded, sizeof bits);
    return (vec)(__builtin_convertvector(bits, wide) << 16);
#else
    return load_vec(padded);
#endif
}

// Where the pooled maps of T, H and W begin for one clip, and how far the sums lie behind the maxima.
typedef struct {
    float *t, *h, *w;
    size_t t_sum, h_sum, w_sum;
} Maps;

// Of a short loop, so that the values of all its rounds stay in registers.
#define TWICE _Pragma("GCC unroll 2")

// Pools n channels of nt x nh rows (consecutive frames, consecutive lines) between two columns. A tile of 2 x 2 rows reads and
// writes the T and H maps half as often as four single rows.
INLINE void pool(const element *x, const float *u, int n, int nt, int nh, size_t frame, int W, int C, int left, int right, Maps m,
                 size_t h_frame, size_t w_frame) {
    vec max[2][2], sum[2][2];
    TWICE for (int i = 0; i < nt; i++)
        TWICE for (int j = 0; j < nh; j++) {
            max[i][j] = load_vec(m.w + i * w_frame + j * ROW(C)), sum[i][j] = load_vec(m.w + m.w_sum + i * w_frame + j * ROW(C));
            if (!left) max[i][j] = (vec){0} - FLT_MAX, sum[i][j] = (vec){0};
        }
    for (int w = left; w < right; w++) {
        vec v[2][2];
        TWICE for (int i = 0; i < nt; i++)
            TWICE for (int j = 0; j < nh; j++) {
                size_t place = i * frame + (size_t)j * W + w;
                v[i][j] = load_element_vec(x + place * C, n) * (u ? u[place] : 1);
                max[i][j] = max_vec(max[i][j], v[i][j]), sum[i][j] += v[i][j];
            }
        TWICE for (int j = 0; j < nh; j++) {
            float *to = m.t + ((size_t)j * W + w) * ROW(C);
            store_vec(to, max_vec(load_vec(to), nt == 2 ? max_vec(v[0][j], v[1][j]) : v[0][j]));
            store_vec(to + m.t_sum, load_vec(to + m.t_sum) + (nt == 2 ? v[0][j] + v[1][j] : v[0][j]));
        }
        TWICE for (int i = 0; i < nt; i++) {
            float *to = m.h + i * h_frame + w * ROW(C);
            store_vec(to, max_vec(load_vec(to), nh == 2 ? max_vec(v[i][0], v[i][1]) : v[i][0]));
            store_vec(to + m.h_sum, load_vec(to + m.h_sum) + (nh == 2 ? v[i][0] + v[i][1] : v[i][0]));
        }
    }
    TWICE for (int i = 0; i < nt; i++)
        TWICE for (int j = 0; j < nh; j++) {
            store_vec(m.w + i * w_frame + j * ROW(C), max[i][j]), store_vec(m.w + m.w_sum + i * w_frame + j * ROW(C), sum[i][j]);
        }
}

static void reset_pools(float *maxima, size_t sums, int rows, int C) { // LANES channels of some rows
    for (int r = 0; r < rows; r++) store_vec(maxima + r * ROW(C), (vec){0} - FLT_MAX), store_vec(maxima + sums + r * ROW(C), (vec){0});
}

// Bytes of workspace for the pooled maps of one step.
size_t workspace_bytes(int B, int T, int H, int W, int C) {
    size_t thw = MAP(H, W, C) + MAP(T, W, C) + MAP(T, H, C), c = MAP(T, H, W);
    return (2 * B * (thw > c ? thw : c) + LANES) * sizeof(float);
}

// What follows is called by all threads of a parallel region, which share the work. `gates_thw` and `gate_c` return whether this
// thread met a value that is not finite.

// The gates of the units T, H and W for x . u; u may be NULL for 1.
static int gates_thw(const element *x, const float *u, int B, int T, int H, int W, int C, const float *kt, const float *kh,
                     const float *kw, float shift_t, float shift_h, float shift_w, float *maps, float *gt, float *gh, float *gw) {
    float *pt = maps, *ph = pt + 2 * B * MAP(H, W, C), *pw = ph + 2 * B * MAP(T, W, C);
    int blocks = (C + LANES - 1) / LANES, parts = blocks < THREADS ? blocks : THREADS;
    size_t frame = (size_t)H * W;
    int non_finite = 0;
#pragma omp for schedule(static) // threads share the channels, so that each sum belongs to one thread
    for (int part = 0; part < B * parts; part++) {
        int b = part / parts, from = part % parts * blocks / parts, to = (part % parts + 1) * blocks / parts;
        Maps all = {pt + 2 * b * MAP(H, W, C), ph + 2 * b * MAP(T, W, C), pw + 2 * b * MAP(T, H, C),
                    MAP(H, W, C), MAP(T, W, C), MAP(T, H, C)};
        for (int c = from * LANES; c < to * LANES; c += LANES)
            reset_pools(all.t + c, all.t_sum, H * W, C), reset_pools(all.h + c, all.h_sum, T * W, C);
        for (int near = from; near < to; near += BLOCKS)
            for (int left = 0; left < W; left += COLUMNS)
                for (int h = 0; h < H; h += 2)
                    for (int t = 0; t < T; t += 2)
                        for (int block = near; block < to && block < near + BLOCKS; block++) {
                            size_t first = b * T * frame + t * frame + (size_t)h * W, c = block * LANES;
                            int n = C - c < LANES ? C - c : LANES, right = W < left + COLUMNS ? W : left + COLUMNS;
                            int nt = T - t < 2 ? 1 : 2, nh = H - h < 2 ? 1 : 2;
                            const element *values = x + first * C + c;
                            const float *scales = u ? u + first : NULL;
                            Maps m = all;
                            m.t += (size_t)h * W * ROW(C) + c, m.h += (size_t)t * W * ROW(C) + c, m.w += ((size_t)t * H + h) * ROW(C) + c;
#define POOL(N, NT, NH) pool(values, scales, N, NT, NH, frame, W, C, left, right, m, W * ROW(C), H * ROW(C))
                            if (n == LANES && nt == 2 && nh == 2) // the common case gets a loop of its own
                                POOL(LANES, 2, 2);
                            else if (nt == 2)
                                nh == 2 ? POOL(n, 2, 2) : POOL(n, 2, 1);
                            else
                                nh == 2 ? POOL(n, 1, 2) : POOL(n, 1, 1);
                        }
    }
    non_finite |= conv_bn_sigmoid(pt, T, kt, shift_t, B, H, W, C, gt);
    non_finite |= conv_bn_sigmoid(ph, H, kh, shift_h, B, T, W, C, gh);
    non_finite |= conv_bn_sigmoid(pw, W, kw, shift_w, B, T, H, C, gw);
    return non_finite;
}

// The gate of the unit C for x, or for x . G if gt is not NULL.
static int gate_c(const element *x, const float *gt, const float *gh, const float *gw, int B, int T, int H, int W, int C,
                  const float *k, float shift, float *maps, float *u) {
#pragma omp for schedule(static)
    for (int line = 0; line < B * T * H; line++) {
        int b = line / (T * H), t = line / H % T, h = line % H;
        float *maximum = maps + 2 * b * MAP(T, H, W) + ((size_t)t * H + h) * ROW(W), *sum = maximum + MAP(T, H, W);
        for (int w = 0; w < W; w++) {
            const element *R row = x + ((size_t)line * W + w) * C;
            Rows r = rows(b, t, h, w, T, H, W, C);
            const float *R gt_row = gt ? gt + r.t : NULL, *R gh_row = gt ? gh + r.h : NULL, *R gw_row = gt ? gw + r.w : NULL;
            float m = -FLT_MAX, s = 0;
            if (gt)
                for (int c = 0; c < C; c++) {
                    float v = load(row[c]) * mean_gate(gt_row, gh_row, gw_row, c);
                    m = max_of(m, v), s += v;
                }
            else
                for (int c = 0; c < C; c++) {
                    float v = load(row[c]);
                    m = max_of(m, v), s += v;
                }
            maximum[w] = m, sum[w] = s;
        }
    }
    return conv_bn_sigmoid(maps, C, k, shift, B, T, H, W, u);
}

// y = x . G, clamped to [low, high].
static void apply_thw(const element *x, const float *gt, const float *gh, const float *gw, int B, int T, int H, int W, int C,
                      float low, float high, element *y) {
#pragma omp for schedule(static)
    for (int line = 0; line < B * T * H; line++) {
        int b = line / (T * H), t = line / H % T, h = line % H;
        for (int w = 0; w < W; w++) {
            const element *row = x + ((size_t)line * W + w) * C;
            Rows r = rows(b, t, h, w, T, H, W, C);
            const float *gt_row = gt + r.t, *gh_row = gh + r.h, *gw_row = gw + r.w;
            element *to = y + ((size_t)line * W + w) * C;
#pragma omp simd
            for (int c = 0; c < C; c++)
                to[c] = store(min_of(max_of(load(row[c]) * mean_gate(gt_row, gh_row, gw_row, c), low), high));
        }
    }
}

// y = x . u, clamped to [low, high].
static void apply_c(const element *x, const float *u, int B, int T, int H, int W, int C, float low, float high, element *y) {
#pragma omp for schedule(static)
    for (int p = 0; p < B * T * H * W; p++) {
        const element *row = x + (size_t)p * C;
        element *to = y + (size_t)p * C;
        float scale = u[p];
#pragma omp simd
        for (int c = 0; c < C; c++) to[c] = store(min_of(max_of(load(row[c]) * scale, low), high));
    }
}

// Does the steps of a module one after the other, in one parallel region. A step is a letter:
//
//     C  u = U_C(x)        G  gates T, H and W of x          X  y = x . G
//     c  u = U_C(x . G)    g  gates T, H and W of x . u      x  y = x . u
//
// `gates` holds the gates of T, H, W and C, in this order; a unit that a module lacks has no kernel. y is clamped to [low, high]
// (an activation), and may be x. Returns whether a value is not finite.
int run(const char *steps, const element *x, int B, int T, int H, int W, int C, const float *kt, const float *kh, const float *kw,
        const float *kc, float shift_t, float shift_h, float shift_w, float shift_c, float *maps, float *gates, float low,
        float high, element *y) {
    float *gt = gates, *gh = gt + (size_t)B * H * W * C, *gw = gh + (size_t)B * T * W * C, *u = gw + (size_t)B * T * H * C;
    int non_finite = 0;
#pragma omp parallel reduction(| : non_finite)
    for (const char *step = steps; *step; step++) {
        if (*step == 'G' || *step == 'g')
            non_finite |= gates_thw(x, *step == 'g' ? u : NULL, B, T, H, W, C, kt, kh, kw, shift_t, shift_h, shift_w, maps, gt, gh, gw);
        else if (*step == 'C' || *step == 'c')
            non_finite |= gate_c(x, *step == 'c' ? gt : NULL, gh, gw, B, T, H, W, C, kc, shift_c, maps, u);
        else if (*step == 'X')
            apply_thw(x, gt, gh, gw, B, T, H, W, C, low, high, y);
        else
            apply_c(x, u, B, T, H, W, C, low, high, y);
#pragma omp barrier
    }
    return non_finite;
}
