/* SPDX-License-Identifier: MIT */
/*
 * A function that takes a lock calls another that takes it too. A weft_lock says that it is the caller's already; a weft_rlock lets its
 * owner in again, and is free when it has been given back as often.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

static weft_lock lock;
static weft_rlock rlock;

static weft_value try_it(weft_value unused)
{
    (void)unused;
    if (weft_rlock_acquire(&rlock, WEFT_NOW) != 0)
        return weft_bool(false);
    weft_rlock_release(&rlock);
    return weft_bool(true);
}

static const char *others_get_it(void)
{
    weft_value got = weft_none;
    weft_task *other = weft_spawn(WEFT_THREAD, try_it, weft_none);
    if (other)
        weft_task_result(other, &got, WEFT_FOREVER);
    weft_task_free(other);
    return weft_as_bool(got) ? "free" : "held";
}

int main(void)
{
    weft_lock_acquire(&lock, WEFT_FOREVER);
    int again = weft_lock_acquire(&lock, WEFT_FOREVER);
    printf("a lock, a second time: %s\n", again == -1 && errno == EDEADLK ? "EDEADLK" : "taken");
    weft_lock_release(&lock);

    weft_rlock_acquire(&rlock, WEFT_FOREVER);
    printf("an rlock, a second time: %s\n", weft_rlock_acquire(&rlock, WEFT_FOREVER) == 0 ? "taken" : "refused");
    weft_rlock_release(&rlock);
    printf("given back once: %s\n", others_get_it());
    weft_rlock_release(&rlock);
    printf("given back twice: %s\n", others_get_it());
    return EXIT_SUCCESS;
}
