// An AIA module in training on the CPU: its passes over the feature, forward and backward, each of which reads the feature once.
//
// `layout.h` has the axes of features and gates. Pooled maps hold the maximum, then the mean: [B, 2, ...].

#include "layout.h"
#include <stdlib.h>

#define EACH_ROW                                                                                                       \
    for (int t = 0; t < T; t++)                                                                                        \
        for (int h = 0; h < H; h++)                                                                                    \
            for (int w = 0; w < W; w++)

#define PARALLEL _Pragma("omp parallel for schedule(static)")

// Sums over all axes but C are split among threads by channels, so that each sum belongs to one thread.
static int parts_of(int B, int C) {
    int parts = THREADS / B;
    parts = parts < C / 16 ? parts : C / 16;
    return parts > 1 ? parts : 1;
}

static inline void pool_row(const float *R x, float u, int from, int to, float *R max, float *R sum, int32_t *R arg, int32_t i) {
    if (arg)
        for (int c = from; c < to; c++) arg[c] = x[c] * u > max[c] ? i : arg[c];
    for (int c = from; c < to; c++) {
        float v = x[c] * u;
        max[c] = v > max[c] ? v : max[c];
        sum[c] += v;
    }
}

// Maximum and mean over T, over H and over W of x . u; u may be NULL for 1. at, ah and aw get the maximum's index; or NULL.
void pool_thw(const float *x, const float *u, int B, int T, int H, int W, int C, float *pt, float *ph, float *pw,
              int32_t *at, int32_t *ah, int32_t *aw) {
    float *pooled[] = {pt, ph, pw};
    size_t sizes[] = {(size_t)H * W * C, (size_t)T * W * C, (size_t)T * H * C};
    float lengths[] = {T, H, W};
    for (int a = 0; a < 3; a++)
        for (int b = 0; b < B; b++) {
            float *max = pooled[a] + 2 * b * sizes[a];
            for (size_t i = 0; i < sizes[a]; i++) max[i] = -FLT_MAX;
            memset(max + sizes[a], 0, sizes[a] * sizeof *max);
        }
    if (at) {
        memset(at, 0, B * sizes[0] * sizeof *at);
        memset(ah, 0, B * sizes[1] * sizeof *ah);
        memset(aw, 0, B * sizes[2] * sizeof *aw);
    }
    int parts = parts_of(B, C);
    PARALLEL for (int part = 0; part < B * parts; part++) {
        int b = part / parts, from = (long)C * (part % parts) / parts, to = (long)C * (part % parts + 1) / parts;
        EACH_ROW {
            size_t p = place(b, t, h, w, T, H, W);
            Rows r = rows(b, t, h, w, T, H, W, C);
            const float *row = x + p * C;
            float scale = u ? u[p] : 1, *mt = pt + r.t + b * sizes[0], *mh = ph + r.h + b * sizes[1], *mw = pw + r.w + b * sizes[2];
            pool_row(row, scale, from, to, mt, mt + sizes[0], at ? at + r.t : NULL, t);
            pool_row(row, scale, from, to, mh, mh + sizes[1], ah ? ah + r.h : NULL, h);
            pool_row(row, scale, from, to, mw, mw + sizes[2], aw ? aw + r.w : NULL, w);
        }
    }
    for (int a = 0; a < 3; a++)
        for (int b = 0; b < B; b++) {
            float *R mean = pooled[a] + (2 * b + 1) * sizes[a];
            for (size_t i = 0; i < sizes[a]; i++) mean[i] /= lengths[a];
        }
}

// The gradient of pool_thw: dx of x and, if u is given, du of u. dpt, dph and dpw are the gradients of the pooled maps.
void pool_thw_backward(const float *x, const float *u, int B, int T, int H, int W, int C, const float *dpt, const float *dph,
                       const float *dpw, const int32_t *at, const int32_t *ah, const int32_t *aw, float *dx, float *du) {
    size_t st = (size_t)H * W * C, sh = (size_t)T * W * C, sw = (size_t)T * H * C;
    float it = 1.0f / T, ih = 1.0f / H, iw = 1.0f / W;
    PARALLEL for (int b = 0; b < B; b++) EACH_ROW {
        size_t p = place(b, t, h, w, T, H, W);
        Rows r = rows(b, t, h, w, T, H, W, C);
        const float *R mt = dpt + r.t + b * st, *R nt = mt + st, *R mh = dph + r.h + b * sh, *R nh = mh + sh,
                    *R mw = dpw + r.w + b * sw, *R nw = mw + sw, *R row = x + p * C;
        const int32_t *R rt = at + r.t, *R rh = ah + r.h, *R rw = aw + r.w;
        float *R to = dx + p * C, scale = u ? u[p] : 1, dot = 0;
        for (int c = 0; c < C; c++) {
            float dv = nt[c] * it + nh[c] * ih + nw[c] * iw;
            dv += (rt[c] == t ? mt[c] : 0) + (rh[c] == h ? mh[c] : 0) + (rw[c] == w ? mw[c] : 0);
            dot += dv * row[c];
            to[c] = dv * scale;
        }
        if (du) du[p] = dot;
    }
}

// y = x . G
void apply_thw(const float *x, const float *gt, const float *gh, const float *gw, int B, int T, int H, int W, int C, float *y) {
    PARALLEL for (int frame = 0; frame < B * T; frame++) {
        int b = frame / T, t = frame % T;
        for (int h = 0; h < H; h++)
            for (int w = 0; w < W; w++) {
                size_t p = place(b, t, h, w, T, H, W);
                Rows r = rows(b, t, h, w, T, H, W, C);
                const float *R a = gt + r.t, *R e = gh + r.h, *R o = gw + r.w, *R row = x + p * C;
                float *R to = y + p * C;
                for (int c = 0; c < C; c++) to[c] = row[c] * mean_gate(a, e, o, c);
            }
    }
}

void apply_thw_backward(const float *x, const float *gt, const float *gh, const float *gw, const float *dy, int B, int T, int H,
                       int W, int C, float *dx, float *dgt, float *dgh, float *dgw) {
    memset(dgt, 0, (size_t)B * H * W * C * sizeof(float));
    memset(dgh, 0, (size_t)B * T * W * C * sizeof(float));
    memset(dgw, 0, (size_t)B * T * H * C * sizeof(float));
    PARALLEL for (int b = 0; b < B; b++) EACH_ROW {
        size_t p = place(b, t, h, w, T, H, W);
        Rows r = rows(b, t, h, w, T, H, W, C);
        const float *R a = gt + r.t, *R e = gh + r.h, *R o = gw + r.w, *R row = x + p * C, *R d = dy + p * C;
        float *R to = dx + p * C, *R da = dgt + r.t, *R de = dgh + r.h, *R dof = dgw + r.w;
        for (int c = 0; c < C; c++) {
            float dg = d[c] * row[c] * (1 / 3.0f);
            to[c] = d[c] * mean_gate(a, e, o, c);
            da[c] += dg, de[c] += dg, dof[c] += dg;
        }
    }
}

// Maximum and mean over C of x, or of x . G if gt is not NULL; arg gets the maximum's index, or is NULL.
void pool_c(const float *x, const float *gt, const float *gh, const float *gw, int B, int T, int H, int W, int C, float *pooled,
            int32_t *arg) {
    size_t plane = (size_t)T * H * W;
    PARALLEL for (int frame = 0; frame < B * T; frame++) {
        int b = frame / T, t = frame % T;
        float *R v = gt ? malloc(C * sizeof *v) : NULL;
        for (int h = 0; h < H; h++)
            for (int w = 0; w < W; w++) {
                size_t p = place(b, t, h, w, T, H, W), q = p + b * plane;
                const float *R row = x + p * C;
                float max = -FLT_MAX, sum = 0;
                if (gt) {
                    Rows r = rows(b, t, h, w, T, H, W, C);
                    const float *R a = gt + r.t, *R e = gh + r.h, *R o = gw + r.w;
                    for (int c = 0; c < C; c++) v[c] = row[c] * mean_gate(a, e, o, c);
                    row = v;
                }
                for (int c = 0; c < C; c++) {
                    max = row[c] > max ? row[c] : max;
                    sum += row[c];
                }
                pooled[q] = max;
                pooled[q + plane] = sum / C;
                if (arg) {
                    int c = 0;
                    while (c < C - 1 && row[c] != max) c++;
                    arg[p] = c;
                }
            }
        free(v);
    }
}

void pool_c_backward(const float *x, const float *gt, const float *gh, const float *gw, const float *dpooled, const int32_t *arg,
                     int B, int T, int H, int W, int C, float *dx, float *dgt, float *dgh, float *dgw) {
    size_t plane = (size_t)T * H * W;
    if (gt) {
        memset(dgt, 0, (size_t)B * H * W * C * sizeof(float));
        memset(dgh, 0, (size_t)B * T * W * C * sizeof(float));
        memset(dgw, 0, (size_t)B * T * H * C * sizeof(float));
    }
    PARALLEL for (int b = 0; b < B; b++) EACH_ROW {
        size_t p = place(b, t, h, w, T, H, W), q = p + b * plane;
        float dmax = dpooled[q], dmean = dpooled[q + plane] / C;
        float *R to = dx + p * C;
        if (!gt) {
            for (int c = 0; c < C; c++) to[c] = dmean;
            to[arg[p]] += dmax;
            continue;
        }
        Rows r = rows(b, t, h, w, T, H, W, C);
        const float *R a = gt + r.t, *R e = gh + r.h, *R o = gw + r.w, *R row = x + p * C;
        float *R da = dgt + r.t, *R de = dgh + r.h, *R dof = dgw + r.w;
        for (int c = 0; c < C; c++) {
            float dg = dmean * row[c] * (1 / 3.0f);
            to[c] = dmean * mean_gate(a, e, o, c);
            da[c] += dg, de[c] += dg, dof[c] += dg;
        }
        int c = arg[p];
        float dg = dmax * row[c] * (1 / 3.0f);
        to[c] += dmax * mean_gate(a, e, o, c);
        da[c] += dg, de[c] += dg, dof[c] += dg;
    }
}

// y = x . u
void apply_c(const float *x, const float *u, int B, int T, int H, int W, int C, float *y) {
    PARALLEL for (long p = 0; p < (long)B * T * H * W; p++) {
        const float *R row = x + p * C;
        float *R to = y + p * C, scale = u[p];
        for (int c = 0; c < C; c++) to[c] = row[c] * scale;
    }
}

void apply_c_backward(const float *x, const float *u, const float *dy, int B, int T, int H, int W, int C, float *dx, float *du) {
    PARALLEL for (long p = 0; p < (long)B * T * H * W; p++) {
        const float *R row = x + p * C, *R d = dy + p * C;
        float *R to = dx + p * C, scale = u[p], dot = 0;
        for (int c = 0; c < C; c++) {
            to[c] = d[c] * scale;
            dot += d[c] * row[c];
        }
        du[p] = dot;
    }
}

// to[i] += k[0] x[i - 1] + k[1] x[i] + k[2] x[i + 1], with zeros outside.
static inline void tap_row(const float *R x, const float *R k, int n, float *R to) {
    float k0 = k[0], k1 = k[1], k2 = k[2];
    to[0] += k1 * x[0] + (n > 1 ? k2 * x[1] : 0);
    for (int i = 1; i < n - 1; i++) to[i] += k0 * x[i - 1] + k1 * x[i] + k2 * x[i + 1];
    if (n > 1) to[n - 1] += k0 * x[n - 2] + k1 * x[n - 1];
}

// 3x3x3 convolution with padding 1 from `from` channels to one: x [B, from, L, M, N], k [from, 3, 3, 3] -> y [B, 1, L, M, N],
// where y's clips lie `step` values apart.
static void conv(const float *x, const float *k, int B, int from, int L, int M, int N, size_t step, float *y) {
    PARALLEL for (int plane = 0; plane < B * L; plane++) {
        int b = plane / L, l = plane % L;
        for (int m = 0; m < M; m++) {
            float *to = y + b * step + ((size_t)l * M + m) * N;
            memset(to, 0, N * sizeof *to);
            for (int f = 0; f < from; f++)
                for (int i = l ? 0 : 1; i < 3 && l + i <= L; i++)
                    for (int j = m ? 0 : 1; j < 3 && m + j <= M; j++)
                        tap_row(x + ((((size_t)b * from + f) * L + l + i - 1) * M + m + j - 1) * N,
                                k + ((f * 3 + i) * 3 + j) * 3, N, to);
        }
    }
}

void thin_conv(const float *x, const float *k, int B, int L, int M, int N, float *y) {
    conv(x, k, B, 2, L, M, N, (size_t)L * M * N, y);
}

void thin_conv_backward(const float *x, const float *k, const float *dy, int B, int L, int M, int N, float *dx, float *dk) {
    size_t plane = (size_t)L * M * N;
    for (int f = 0; f < 2; f++) {
        float turned[27];
        for (int i = 0; i < 27; i++) turned[i] = k[f * 27 + 26 - i];
        conv(dy, turned, B, 1, L, M, N, 2 * plane, dx + f * plane);
    }
    double(*sums)[54] = calloc(B, sizeof *sums); // of each clip, so that the order of additions never changes
    PARALLEL for (int b = 0; b < B; b++)
        for (int l = 0; l < L; l++)
            for (int m = 0; m < M; m++) {
                const float *R d = dy + b * plane + ((size_t)l * M + m) * N;
                for (int f = 0; f < 2; f++)
                    for (int i = l ? 0 : 1; i < 3 && l + i <= L; i++)
                        for (int j = m ? 0 : 1; j < 3 && m + j <= M; j++) {
                            const float *R row = x + ((((size_t)b * 2 + f) * L + l + i - 1) * M + m + j - 1) * N;
                            float before = 0, same = 0, after = 0;
                            for (int n = 0; n < N; n++) same += d[n] * row[n];
                            for (int n = 1; n < N; n++) before += d[n] * row[n - 1];
                            for (int n = 1; n < N; n++) after += d[n - 1] * row[n];
                            double *s = sums[b] + ((f * 3 + i) * 3 + j) * 3;
                            s[0] += before, s[1] += same, s[2] += after;
                        }
            }
    for (int i = 0; i < 54; i++) {
        double sum = 0;
        for (int b = 0; b < B; b++) sum += sums[b][i];
        dk[i] = sum;
    }
    free(sums);
}
