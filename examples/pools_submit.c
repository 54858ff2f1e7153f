/* SPDX-License-Identifier: MIT */
/* Hand work to a pool of threads and ask for the results: one by one through their futures, all at once with map, or just one with
 * apply. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

static weft_value square(weft_value number)
{
    int64_t n = weft_as_int(number);
    if (n > 1000)
        return weft_error(ERANGE, "%lld is too much for me", (long long)n);
    return weft_int(n * n);
}

static void show(const char *what, weft_value value)
{
    char text[200];
    weft_repr(value, text, sizeof(text));
    printf("%s: %s\n", what, text);
    weft_drop(value);
}

static int submit_some(weft_pool *pool)
{
    static const int64_t numbers[] = {3, 4, 5000};
    weft_future *futures[3];
    for (int i = 0; i < 3; i++)
        if (!(futures[i] = weft_pool_submit(pool, square, weft_int(numbers[i]))))
            return -1;
    for (int i = 0; i < 3; i++) {
        weft_value result = weft_none;
        weft_future_result(futures[i], &result, WEFT_FOREVER);
        show(weft_future_outcome(futures[i]) == WEFT_DONE ? "done" : "failed", result);
        weft_future_free(futures[i]);
    }
    return 0;
}

static int map_some(weft_pool *pool)
{
    weft_value numbers = weft_list(), squares;
    for (int i = 1; i <= 5; i++)
        weft_list_append(numbers, weft_int(i));
    int mapped = weft_pool_map(pool, square, numbers, &squares, WEFT_FOREVER);
    if (mapped == 0)
        show("mapped", squares);
    weft_drop(numbers);
    return mapped;
}

int main(void)
{
    weft_value result;
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 2);
    if (!pool || submit_some(pool) != 0 || map_some(pool) != 0 || weft_pool_apply(pool, square, weft_int(12), &result, WEFT_FOREVER) != 0) {
        perror("pool");
        return EXIT_FAILURE;
    }
    show("applied", result);
    weft_pool_free(pool);
    return EXIT_SUCCESS;
}
