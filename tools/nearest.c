/* SPDX-License-Identifier: MIT */
/* See nearest.h: the optimal string alignment distance, three rows at a time. Words longer than the rows are never near. */
#include "nearest.h"

#include <stdbool.h>
#include <string.h>

enum { NEAREST_LONGEST = 64 };

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static bool swapped(const char *a, size_t i, const char *b, size_t j)
{
    return i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
}

static size_t edit_distance(const char *a, const char *b)
{
    size_t rows[3][NEAREST_LONGEST + 1];
    size_t width = strlen(b), height = strlen(a);
    if (width > NEAREST_LONGEST || height > NEAREST_LONGEST)
        return NEAREST_LONGEST;
    for (size_t j = 0; j <= width; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= height; i++) {
        size_t *now = rows[i % 3], *before = rows[(i + 2) % 3], *earlier = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= width; j++) {
            now[j] = least(least(before[j], now[j - 1]) + 1, before[j - 1] + (a[i - 1] != b[j - 1]));
            if (swapped(a, i, b, j))
                now[j] = least(now[j], earlier[j - 2] + 1);
        }
    }
    return rows[height % 3][width];
}

const char *nearest_name(const char *word, const char *const *names, size_t count)
{
    const char *best = NULL;
    size_t length = strlen(word), fewest = length / 3 + 2;
    for (size_t i = 0; i < count; i++) {
        bool begins = length >= 2 && strncmp(word, names[i], length) == 0;
        size_t distance = begins ? 0 : edit_distance(word, names[i]);
        if (distance < fewest && distance < strlen(names[i])) {
            fewest = distance;
            best = names[i];
        }
    }
    return best;
}
