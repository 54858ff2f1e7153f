/* SPDX-License-Identifier: MIT */
/* The first program: ten squares, on four threads. Each is printed as it comes, so they are collected and printed in order here. */
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

static long squares[10];

static weft_value square(weft_value n)
{
    return weft_int(weft_as_int(n) * weft_as_int(n));
}

static int note_it(weft_future *future, void *place)
{
    weft_value value;
    if (weft_future_result(future, &value, WEFT_NOW) != 0)
        return -1;
    *(long *)place = (long)weft_as_int(value);
    return 0;
}

int main(void)
{
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 4);
    if (!pool) {
        perror("weft_pool_new");
        return EXIT_FAILURE;
    }
    for (int i = 0; i < 10; i++)
        if (weft_pool_start(pool, square, weft_int(i), .on_done = note_it, .data = &squares[i]) != 0)
            perror("weft_pool_start");
    weft_pool_free(pool); /* waits for what runs */
    for (int i = 0; i < 10; i++)
        printf("%d squared is %ld\n", i, squares[i]);
    return EXIT_SUCCESS;
}
