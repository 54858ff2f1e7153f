/* SPDX-License-Identifier: MIT */
/* Five workers, but a semaphore of two permits before the workshop: never more than two are inside. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

enum { WORKERS = 5, PERMITS = 2 };

static weft_semaphore permits = WEFT_SEMAPHORE(PERMITS);
static atomic_int inside, crowded, finished;

static weft_value work(weft_value unused)
{
    (void)unused;
    weft_with (&permits) {
        if (atomic_fetch_add(&inside, 1) >= PERMITS)
            crowded++;
        weft_sleep(0.05);
        inside--;
    }
    finished++;
    return weft_none;
}

int main(void)
{
    weft_task *workers[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = weft_spawn(WEFT_THREAD, work, weft_none);
        if (!workers[i]) {
            perror("weft_spawn");
            return EXIT_FAILURE;
        }
    }
    for (int i = 0; i < WORKERS; i++) {
        weft_task_join(workers[i], WEFT_FOREVER);
        weft_task_free(workers[i]);
    }
    printf("%d workers have worked, ever more than %d at a time: %s\n", finished, PERMITS, crowded ? "yes" : "no");
    return EXIT_SUCCESS;
}
