// AIA's modules for inference on the CPU: what is left of them when nothing must be differentiated.
//
// A feature x is [B, T, H, W, C] (channels last) of float or bfloat16; gates are float: of the unit T [B, H, W, C], of H
// [B, T, W, C], of W [B, T, H, C], of C [B, T, H, W]. All arrays are contiguous. Compiled once for each type of x.

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#define THREADS omp_get_max_threads()
#else
#define THREADS 1
#endif

#define R restrict
#define LANES 16 // values that are worked on at once; the compiler makes them vectors
#define COLUMNS 16 // and blocks of LANES channels that are pooled in one go
#define BLOCKS 2
#define INLINE static inline __attribute__((always_inline))

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

// A pooled map [L, M, N] lies in rows of whole vectors. A unit's two maps follow each other, the maximum and the sum:
// [B, 2, MAP]; what lies behind each keeps them from falling on the same places of the cache.
#define ROW(N) (((size_t)(N) + LANES - 1) / LANES * LANES)
#define MAP(L, M, N) ((size_t)(L) * (M) * ROW(N) + LANES)

typedef float vec __attribute__((vector_size(LANES * sizeof(float))));
INLINE vec at(const float *values) {
    vec v;
    memcpy(&v, values, sizeof v);
    return v;
}
INLINE void put(float *values, vec v) { memcpy(values, &v, sizeof v); }
INLINE vec largest(vec a, vec b) {
    vec v;
    for (int i = 0; i < LANES; i++) v[i] = a[i] > b[i] ? a[i] : b[i];
    return v;
}

INLINE float larger(float a, float b) { return a > b ? a : b; }
INLINE float smaller(float a, float b) { return a < b ? a : b; }

// exp(v) for |v| < 87, in steps that become vectors; sums may be reordered, so it is off by up to 4e-6 of itself at the ends,
// which leaves the sigmoid within 1.2e-7 of the exact one.
INLINE float exponential(float v) {
    float n = rintf(v * 1.44269504f), r = v - n * 0.693359375f + n * 2.12194440e-4f;
    float p = 1 + r * (1 + r * (0.5f + r * (0.166666667f + r * (0.0416666667f + r * (0.00833333333f + r * 0.00138888889f)))));
    int32_t bits = ((int32_t)n + 127) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    return p * power;
}

INLINE int not_finite(float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return (bits & 0x7f800000) == 0x7f800000;
}

INLINE float inverse(float v) { // of a normal number above 0, to 1.3 units in the last place; a division takes much longer
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    bits = 0x7ef311c7 - bits; // within 13 %, and each step squares the error
    float r;
    memcpy(&r, &bits, sizeof r);
    for (int i = 0; i < 4; i++) r *= 2 - v * r;
    return r;
}

INLINE float sigmoid(float v) { return inverse(1 + exponential(-smaller(larger(v, -80), 80))); }

// One unit: sigmoid(k * maps + shift) for 3x3x3 taps, the batch norm's scale folded into them; the second map holds sums
// over `pooled` values. Returns whether a value is not finite, which a sigmoid would hide.
static int respond(const float *maps, int pooled, const float *k, float shift, int B, int L, int M, int N, float *gate) {
    int wild = 0;
    float taps[54];
    for (int i = 0; i < 54; i++) taps[i] = i < 27 ? k[i] : k[i] / pooled;
    // What a row gives to the value after, at and before its own; sums of two vectors at once keep the processor busy.
    float before[ROW(N) + 2 * LANES], same[ROW(N) + LANES], after[ROW(N) + 2 * LANES], zeros[ROW(N) + LANES];
    memset(before, 0, sizeof before), memset(zeros, 0, sizeof zeros);
#pragma omp for schedule(static) nowait
    for (int line = 0; line < B * L * M; line++) {
        int b = line / (L * M), l = line / M % L, m = line % M;
        const float *rows[18];
        for (int f = 0; f < 2; f++)
            for (int i = 0; i < 3; i++)
                for (int j = 0; j < 3; j++) {
                    int from = l + i - 1, at = m + j - 1, inside = from >= 0 && from < L && at >= 0 && at < M;
                    const float *row = maps + (2 * b + f) * MAP(L, M, N) + ((size_t)from * M + at) * ROW(N);
                    rows[(f * 3 + i) * 3 + j] = inside ? row : zeros;
                }
        for (int n = 0; n < N; n += 2 * LANES) {
            vec a0 = {0}, a1 = {0}, s0 = {0}, s1 = {0}, z0 = {0}, z1 = {0};
#pragma GCC unroll 3
            for (int r = 0; r < 18; r++) {
                vec v0 = at(rows[r] + n), v1 = at(rows[r] + n + LANES);
                float t0 = taps[3 * r], t1 = taps[3 * r + 1], t2 = taps[3 * r + 2];
                a0 += t0 * v0, a1 += t0 * v1, s0 += t1 * v0, s1 += t1 * v1, z0 += t2 * v0, z1 += t2 * v1;
            }
            put(before + LANES + n, a0), put(before + 2 * LANES + n, a1);
            put(same + n, s0), put(same + LANES + n, s1);
            put(after + n, z0), put(after + LANES + n, z1);
        }
        after[N] = 0; // no value lies there, nor at before[LANES - 1]
        for (int n = 0; n < N; n++) {
            float v = before[LANES + n - 1] + same[n] + after[n + 1] + shift;
            wild |= not_finite(v);
            gate[(size_t)line * N + n] = sigmoid(v);
        }
    }
    return wild;
}

INLINE vec values_of(const element *x, int n) {
    element some[LANES] = {0};
    memcpy(some, x, n * sizeof *x);
#ifdef BFLOAT16
    typedef uint16_t narrow __attribute__((vector_size(LANES * sizeof(uint16_t))));
    typedef uint32_t wide __attribute__((vector_size(LANES * sizeof(uint32_t))));
    narrow bits;
    memcpy(&bits, some, sizeof bits);
    return (vec)(__builtin_convertvector(bits, wide) << 16);
#else
    return at(some);
#endif
}

// Where the pooled maps of T, H and W begin for one clip; the sums lie as far behind the maxima as the second number says.
typedef struct {
    float *t, *h, *w;
    size_t t_sum, h_sum, w_sum;
} Maps;

// Pools n channels of nt x nh rows (of following frames, of following lines) between two columns: a tile of four rows meets
// the T and the H map half as often as four rows by themselves.
INLINE void pool(const element *x, const float *u, int n, int nt, int nh, size_t frame, int W, int C, int left, int right, Maps m,
                 size_t h_frame, size_t w_frame) {
    vec max[2][2], sum[2][2];
    for (int i = 0; i < nt; i++)
        for (int j = 0; j < nh; j++) {
            max[i][j] = at(m.w + i * w_frame + j * ROW(C)), sum[i][j] = at(m.w + m.w_sum + i * w_frame + j * ROW(C));
            if (!left) max[i][j] = (vec){0} - FLT_MAX, sum[i][j] = (vec){0};
        }
    for (int w = left; w < right; w++) {
        vec v[2][2];
        for (int i = 0; i < nt; i++)
            for (int j = 0; j < nh; j++) {
                size_t place = i * frame + (size_t)j * W + w;
                v[i][j] = values_of(x + place * C, n) * (u ? u[place] : 1);
                max[i][j] = largest(max[i][j], v[i][j]), sum[i][j] += v[i][j];
            }
        for (int j = 0; j < nh; j++) {
            float *to = m.t + ((size_t)j * W + w) * ROW(C);
            put(to, largest(at(to), nt == 2 ? largest(v[0][j], v[1][j]) : v[0][j]));
            put(to + m.t_sum, at(to + m.t_sum) + (nt == 2 ? v[0][j] + v[1][j] : v[0][j]));
        }
        for (int i = 0; i < nt; i++) {
            float *to = m.h + i * h_frame + w * ROW(C);
            put(to, largest(at(to), nh == 2 ? largest(v[i][0], v[i][1]) : v[i][0]));
            put(to + m.h_sum, at(to + m.h_sum) + (nh == 2 ? v[i][0] + v[i][1] : v[i][0]));
        }
    }
    for (int i = 0; i < nt; i++)
        for (int j = 0; j < nh; j++) {
            put(m.w + i * w_frame + j * ROW(C), max[i][j]), put(m.w + m.w_sum + i * w_frame + j * ROW(C), sum[i][j]);
        }
}

static void begin(float *maxima, size_t sums, int rows, int C) { // LANES channels of some rows
    for (int r = 0; r < rows; r++) put(maxima + r * ROW(C), (vec){0} - FLT_MAX), put(maxima + sums + r * ROW(C), (vec){0});
}

// Bytes of room for the pooled maps of `gates_thw` and of `gate_c`.
size_t room(int B, int T, int H, int W, int C) {
    size_t thw = MAP(H, W, C) + MAP(T, W, C) + MAP(T, H, C), c = MAP(T, H, W);
    return (2 * B * (thw > c ? thw : c) + LANES) * sizeof(float);
}

// The gates of the units T, H and W for x . u; u may be NULL for 1. Returns whether a value is not finite.
int gates_thw(const element *x, const float *u, int B, int T, int H, int W, int C, const float *kt, const float *kh,
               const float *kw, float shift_t, float shift_h, float shift_w, float *maps, float *gt, float *gh, float *gw) {
    float *pt = maps, *ph = pt + 2 * B * MAP(H, W, C), *pw = ph + 2 * B * MAP(T, W, C);
    int blocks = (C + LANES - 1) / LANES, parts = blocks < THREADS ? blocks : THREADS;
    size_t frame = (size_t)H * W;
    int wild = 0;
#pragma omp parallel reduction(| : wild)
    {
#pragma omp for schedule(static) // threads share the clips' channels, so that no sum has two of them
        for (int part = 0; part < B * parts; part++) {
            int b = part / parts, from = part % parts * blocks / parts, to = (part % parts + 1) * blocks / parts;
            Maps all = {pt + 2 * b * MAP(H, W, C), ph + 2 * b * MAP(T, W, C), pw + 2 * b * MAP(T, H, C),
                        MAP(H, W, C), MAP(T, W, C), MAP(T, H, C)};
            for (int c = from * LANES; c < to * LANES; c += LANES)
                begin(all.t + c, all.t_sum, H * W, C), begin(all.h + c, all.h_sum, T * W, C);
            // In pieces so small that the pooled rows stay in the nearest cache.
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
        wild |= respond(pt, T, kt, shift_t, B, H, W, C, gt);
        wild |= respond(ph, H, kh, shift_h, B, T, W, C, gh);
        wild |= respond(pw, W, kw, shift_w, B, T, H, C, gw);
    }
    return wild;
}

INLINE float mean_gate(const float *R gt, const float *R gh, const float *R gw, int c) {
    return (gt[c] + gh[c] + gw[c]) * (1 / 3.0f);
}

// The gate of the unit C for x, or for x . (gt + gh + gw) / 3 where gt is not NULL. Returns whether a value is not finite.
int gate_c(const element *x, const float *gt, const float *gh, const float *gw, int B, int T, int H, int W, int C, const float *k,
            float shift, float *maps, float *u) {
    int wild = 0;
#pragma omp parallel reduction(| : wild)
    {
#pragma omp for schedule(static)
        for (int line = 0; line < B * T * H; line++) {
            int b = line / (T * H), t = line / H % T, h = line % H;
            float *maximum = maps + 2 * b * MAP(T, H, W) + ((size_t)t * H + h) * ROW(W), *sum = maximum + MAP(T, H, W);
            for (int w = 0; w < W; w++) {
                const element *R row = x + ((size_t)line * W + w) * C;
                const float *R a = gt ? gt + (((size_t)b * H + h) * W + w) * C : NULL, *R d = gt ? gh + (((size_t)b * T + t) * W + w) * C : NULL,
                            *R e = gt ? gw + (size_t)line * C : NULL;
                float m = -FLT_MAX, s = 0;
                if (gt)
                    for (int c = 0; c < C; c++) {
                        float v = load(row[c]) * mean_gate(a, d, e, c);
                        m = larger(m, v), s += v;
                    }
                else
                    for (int c = 0; c < C; c++) {
                        float v = load(row[c]);
                        m = larger(m, v), s += v;
                    }
                maximum[w] = m, sum[w] = s;
            }
        }
        wild |= respond(maps, C, k, shift, B, T, H, W, u);
    }
    return wild;
}

// y = x . (gt + gh + gw) / 3, held between low and high (an activation); y may be x.
void apply_thw(const element *x, const float *gt, const float *gh, const float *gw, int B, int T, int H, int W, int C, float low,
               float high, element *y) {
#pragma omp parallel for schedule(static)
    for (int line = 0; line < B * T * H; line++) {
        int b = line / (T * H), t = line / H % T, h = line % H;
        for (int w = 0; w < W; w++) {
            const element *row = x + ((size_t)line * W + w) * C;
            const float *a = gt + (((size_t)b * H + h) * W + w) * C, *d = gh + (((size_t)b * T + t) * W + w) * C, *e = gw + (size_t)line * C;
            element *to = y + ((size_t)line * W + w) * C;
#pragma omp simd
            for (int c = 0; c < C; c++) to[c] = store(smaller(larger(load(row[c]) * mean_gate(a, d, e, c), low), high));
        }
    }
}

// y = x . u, held between low and high; y may be x.
void apply_c(const element *x, const float *u, int B, int T, int H, int W, int C, float low, float high, element *y) {
#pragma omp parallel for schedule(static)
    for (int p = 0; p < B * T * H * W; p++) {
        const element *row = x + (size_t)p * C;
        element *to = y + (size_t)p * C;
        float scale = u[p];
#pragma omp simd
        for (int c = 0; c < C; c++) to[c] = store(smaller(larger(load(row[c]) * scale, low), high));
    }
}
