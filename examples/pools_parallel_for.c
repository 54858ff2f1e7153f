/* SPDX-License-Identifier: MIT */
/* A loop side by side: the caller and a pool's workers take a chunk of the indices whenever they are done with the last; the first error
 * ends it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft.h>

enum { COUNT = 1000000 };

static int64_t total;

/* The sum of a chunk is the chunk's own; it meets the others' once. */
static int add_up(size_t first, size_t end, void *unused)
{
    (void)unused;
    int64_t sum = 0;
    for (size_t i = first; i < end; i++)
        sum += (int64_t)i;
    __atomic_add_fetch(&total, sum, __ATOMIC_RELAXED);
    return 0;
}

static int square(size_t index, void *squares)
{
    ((size_t *)squares)[index] = index * index;
    return 0;
}

static int stop_at_seven(size_t index, void *unused)
{
    (void)unused;
    if (index != 7)
        return 0;
    errno = EDOM;
    return -1;
}

int main(void)
{
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 4);
    size_t squares[10];
    if (!pool || weft_parallel_ranges(COUNT, add_up, NULL, .pool = pool, .chunk = 1000) != 0 ||
        weft_parallel_for(10, square, squares, .pool = pool) != 0) {
        perror("parallel_for");
        return EXIT_FAILURE;
    }
    printf("the sum is %lld\n", (long long)total);
    for (int i = 0; i < 10; i++)
        printf("%zu%c", squares[i], i < 9 ? ' ' : '\n');
    if (weft_parallel_for(10, stop_at_seven, NULL, .pool = pool) != 0)
        printf("ended by: %s\n", strerror(errno));
    weft_pool_free(pool);
    return EXIT_SUCCESS;
}
