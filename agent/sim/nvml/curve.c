// Figures that move: their value at a moment, and what they have added up to (energy from power, throttled time from its share).
#include <math.h>
#include "sim.h"

static double within(double value, double low, double high) {
    return value < low ? low : value > high ? high : value;
}

// A step every second between -noise and +noise, the same in every process.
static double jitter(const struct number *n, double t) {
    if (n->noise == 0) return 0;
    u64 x = (u64)fmin(t, 1e15) * 0x9E3779B97F4A7C15ull + (u64)within(n->since, 0, 1e15);
    x = (x ^ (x >> 31)) * 0xBF58476D1CE4E5B9ull;
    x ^= x >> 29;
    return n->noise * ((double)(x % 2001) / 1000 - 1);
}

static double step_value(const struct number *n, double t) {
    if (n->c > 0) t = fmod(t, n->c);
    double value = n->step[1];
    for (unsigned i = 0; i < n->steps && n->step[2 * i] <= t; i++) value = n->step[2 * i + 1];
    return value;
}

double value_at(const struct number *n, double now) {
    double t = now > n->since ? now - n->since : 0, value = 0;
    switch (n->kind) {
    case KIND_NONE: return 0;
    case KIND_CONSTANT: value = n->a; break;
    case KIND_SINE: value = (n->a + n->b) / 2 + (n->b - n->a) / 2 * sin(2 * M_PI * (t / n->c + n->d)); break;
    case KIND_RAMP: value = n->a + (n->b - n->a) * within(t / n->c, 0, 1); break;
    case KIND_GROW: value = n->a + n->b * t; break;
    case KIND_STEPS: value = step_value(n, t); break;
    case KIND_BURST: value = fmod(t, n->c) < n->d ? n->b : n->a; break;
    }
    return value + jitter(n, t);
}

// From the first step to `t`, within one round.
static double step_area(const struct number *n, double t) {
    double area = n->step[1] * within(n->step[0], 0, t);
    for (unsigned i = 0; i < n->steps && n->step[2 * i] < t; i++) {
        double end = i + 1 < n->steps && n->step[2 * i + 2] < t ? n->step[2 * i + 2] : t;
        area += n->step[2 * i + 1] * (end - n->step[2 * i]);
    }
    return area;
}

double integral_at(const struct number *n, double now) {
    double t = now > n->since ? now - n->since : 0, area = 0, rounds;
    switch (n->kind) {
    case KIND_NONE: return 0;
    case KIND_CONSTANT: area = n->a * t; break;
    case KIND_SINE: {
        double w = 2 * M_PI / n->c, from = 2 * M_PI * n->d;
        area = (n->a + n->b) / 2 * t + (n->b - n->a) / 2 / w * (cos(from) - cos(from + w * t));
        break;
    }
    case KIND_RAMP: {
        double moving = within(t, 0, n->c);
        area = n->a * moving + (n->b - n->a) * moving * moving / (2 * n->c) + n->b * (t - moving);
        break;
    }
    case KIND_GROW: area = n->a * t + n->b * t * t / 2; break;
    case KIND_STEPS:
        rounds = n->c > 0 ? floor(t / n->c) : 0;
        area = rounds * step_area(n, n->c) + step_area(n, t - rounds * n->c);
        break;
    case KIND_BURST:
        rounds = floor(t / n->c);
        area = n->a * t + (n->b - n->a) * (rounds * n->d + within(t - rounds * n->c, 0, n->d));
        break;
    }
    return n->base + area;
}
