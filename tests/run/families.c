/* SPDX-License-Identifier: MIT */
/*
 * families deadlock|onlooker|table|queue: a family for the test of weft ps. Says "ready PID" when its processes wait, and ends when its
 * input does. deadlock: two processes, each with a lock that the other wants. onlooker: and a third that wants one of these, and has two
 * permits and a place among readers. table: one who reads and wants a lock, whose owner wants to write; and one who wants to read. queue:
 * one that waits for a value of a queue; a pool of two.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <weft.h>

static weft_lock *locks;
static uint32_t *taken;

static weft_value take_both(weft_value first)
{
    int mine = (int)weft_as_int(first);
    weft_lock_acquire(&locks[mine], WEFT_FOREVER);
    __atomic_add_fetch(taken, 1, __ATOMIC_RELEASE);
    weft_wake(taken, UINT32_MAX);
    for (uint32_t seen; (seen = __atomic_load_n(taken, __ATOMIC_ACQUIRE)) < 2;)
        weft_wait(taken, seen, WEFT_FOREVER);
    weft_lock_acquire(&locks[1 - mine], WEFT_FOREVER);
    return weft_none;
}

static weft_value look_on(weft_value unused)
{
    weft_semaphore *permits = weft_shared_new(weft_semaphore);
    weft_rwlock *table = weft_shared_new(weft_rwlock);
    if (!permits || !table)
        return weft_error(errno, NULL);
    *permits = (weft_semaphore)WEFT_SEMAPHORE(3);
    weft_semaphore_acquire(permits, WEFT_FOREVER);
    weft_semaphore_acquire(permits, WEFT_FOREVER);
    weft_rwlock_acquire_read(table, WEFT_FOREVER);
    for (uint32_t seen; (seen = __atomic_load_n(taken, __ATOMIC_ACQUIRE)) < 2;)
        weft_wait(taken, seen, WEFT_FOREVER);
    weft_lock_acquire(&locks[0], WEFT_FOREVER);
    return unused;
}

static weft_rwlock *table;

static void taken_await(uint32_t least)
{
    for (uint32_t seen; (seen = __atomic_load_n(taken, __ATOMIC_ACQUIRE)) < least;)
        weft_wait(taken, seen, WEFT_FOREVER);
}

static void taken_say(void)
{
    __atomic_add_fetch(taken, 1, __ATOMIC_RELEASE);
    weft_wake(taken, UINT32_MAX);
}

static weft_value read_and_lock(weft_value unused)
{
    weft_rwlock_acquire_read(table, WEFT_FOREVER);
    taken_say();
    taken_await(2);
    weft_lock_acquire(&locks[0], WEFT_FOREVER);
    return unused;
}

static weft_value lock_and_write(weft_value unused)
{
    weft_lock_acquire(&locks[0], WEFT_FOREVER);
    taken_say();
    taken_await(2);
    weft_rwlock_acquire_write(table, WEFT_FOREVER);
    return unused;
}

static weft_value read_late(weft_value unused)
{
    taken_await(2);
    while (!weft_lock_locked(&table->gate))
        weft_sleep(0.001);
    weft_rwlock_acquire_read(table, WEFT_FOREVER);
    return unused;
}

static weft_value get_one(weft_value queue)
{
    weft_value value = weft_none;
    weft_queue_get(weft_as_ptr(queue), &value, WEFT_FOREVER);
    weft_drop(value);
    return weft_none;
}

static weft_value same(weft_value value)
{
    return weft_keep(value);
}

static int serve(void)
{
    printf("ready %d\n", (int)getpid());
    fflush(stdout);
    while (getchar() != EOF)
        ;
    return 0;
}

static int deadlock(bool onlooker)
{
    locks = weft_shared_alloc(2 * sizeof(*locks));
    taken = weft_shared_new(uint32_t);
    for (int i = 0; i < 2; i++)
        if (!weft_spawn(WEFT_PROCESS, take_both, weft_int(i), .daemon = true))
            return 1;
    if (onlooker && !weft_spawn(WEFT_PROCESS, look_on, weft_none, .name = "Onlooker", .daemon = true))
        return 1;
    return serve();
}

static int tables(void)
{
    weft_function *functions[3] = {read_and_lock, lock_and_write, read_late};
    const char *names[3] = {"Reader", "Writer", "Late"};
    locks = weft_shared_new(weft_lock);
    taken = weft_shared_new(uint32_t);
    table = weft_shared_new(weft_rwlock);
    for (int i = 0; i < 3; i++)
        if (!table || !weft_spawn(WEFT_PROCESS, functions[i], weft_none, .name = names[i], .daemon = true))
            return 1;
    return serve();
}

static int queue(void)
{
    weft_queue *queue = weft_queue_new(.shared = true, .capacity = 7);
    weft_pool *pool = weft_pool_new(WEFT_PROCESS, .workers = 2);
    weft_value result;
    if (!queue || !pool || weft_pool_apply(pool, same, weft_int(1), &result, WEFT_FOREVER) != 0)
        return 1;
    if (!weft_spawn(WEFT_PROCESS, get_one, weft_ptr(queue), .daemon = true))
        return 1;
    return serve();
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "table") == 0)
        return tables();
    bool onlooker = argc == 2 && strcmp(argv[1], "onlooker") == 0;
    return onlooker || (argc == 2 && strcmp(argv[1], "deadlock") == 0) ? deadlock(onlooker) : queue();
}
