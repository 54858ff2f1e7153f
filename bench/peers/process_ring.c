/* SPDX-License-Identifier: MIT */
/*
 * The limit of a pool of processes: two processes that take numbers from a lock-free ring in shared memory (Vyukov's, of 1024 places) and
 * put each back into a ring of results. Who finds a ring empty looks for 20 us, then sleeps on a futex; variant `sleeps`: sleeps at once.
 * No functions, no values, no cancelling, and a process that dies stops it. pool-process-empty: all that was put in is waited for at the
 * end. pool-process-round-trip and its pinned row: one at a time.
 */
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../bench.h"

enum { CAPACITY = 1024, WORKERS = 2, LOOKS = 16 };
static const double SPIN = 20e-6;

struct place {
    _Atomic size_t turn;
    uintptr_t item;
};

struct ring {
    _Alignas(128) _Atomic size_t tail;
    _Alignas(128) _Atomic size_t head;
    _Alignas(128) _Atomic uint32_t word; /* changes when something was put in and somebody sleeps */
    _Atomic uint32_t sleepers;
    struct place places[CAPACITY];
};

static struct shared {
    struct ring tasks, results;
} * shared;
static int spins = 1;

static int try_claim(struct ring *ring, _Atomic size_t *end, size_t late, size_t *number)
{
    size_t at = atomic_load_explicit(end, memory_order_relaxed);
    for (;;) {
        ptrdiff_t ahead = (ptrdiff_t)(atomic_load_explicit(&ring->places[at % CAPACITY].turn, memory_order_acquire) - (at + late));
        if (ahead == 0 && atomic_compare_exchange_weak_explicit(end, &at, at + 1, memory_order_relaxed, memory_order_relaxed)) {
            *number = at;
            return 1;
        }
        if (ahead < 0)
            return 0;
        if (ahead != 0)
            at = atomic_load_explicit(end, memory_order_relaxed);
    }
}

static int try_put(struct ring *ring, uintptr_t item)
{
    size_t number;
    if (!try_claim(ring, &ring->tail, 0, &number))
        return 0;
    ring->places[number % CAPACITY].item = item;
    atomic_store_explicit(&ring->places[number % CAPACITY].turn, number + 1, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&ring->sleepers, memory_order_relaxed) > 0) {
        atomic_fetch_add(&ring->word, 1);
        syscall(SYS_futex, &ring->word, FUTEX_WAKE, 1, NULL, NULL, 0);
    }
    return 1;
}

static int try_get(struct ring *ring, uintptr_t *item)
{
    size_t number;
    if (!try_claim(ring, &ring->head, 1, &number))
        return 0;
    *item = ring->places[number % CAPACITY].item;
    atomic_store_explicit(&ring->places[number % CAPACITY].turn, number + CAPACITY, memory_order_release);
    return 1;
}

static int spin_get(struct ring *ring, uintptr_t *item)
{
    if (!spins)
        return 0;
    double end = bench_clock() + SPIN;
    do
        for (int i = 0; i < LOOKS; i++) {
            if (try_get(ring, item))
                return 1;
            bench_pause();
        }
    while (bench_clock() < end);
    return 0;
}

static uintptr_t get(struct ring *ring)
{
    uintptr_t item;
    for (;;) {
        if (try_get(ring, &item) || spin_get(ring, &item))
            return item;
        uint32_t word = atomic_load(&ring->word);
        atomic_fetch_add(&ring->sleepers, 1);
        int got = try_get(ring, &item);
        if (!got)
            syscall(SYS_futex, &ring->word, FUTEX_WAIT, word, NULL, NULL, 0);
        atomic_fetch_sub(&ring->sleepers, 1);
        if (got)
            return item;
    }
}

static void worker(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        uintptr_t item = get(&shared->tasks);
        if (item == 0)
            _exit(0);
        while (!try_put(&shared->results, item))
            sched_yield();
    }
}

static void ring_begin(struct ring *ring)
{
    for (size_t i = 0; i < CAPACITY; i++)
        atomic_init(&ring->places[i].turn, i);
}

static void begin(const char *variant)
{
    spins = strcmp(variant, "sleeps") != 0;
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    bench_need(shared != MAP_FAILED, "mmap");
    ring_begin(&shared->tasks);
    ring_begin(&shared->results);
    for (int i = 0; i < WORKERS; i++)
        if (fork() == 0)
            worker();
}

static void end(void)
{
    for (int i = 0; i < WORKERS; i++)
        while (!try_put(&shared->tasks, 0))
            sched_yield();
    while (wait(NULL) > 0)
        ;
}

static void all(long tasks)
{
    uintptr_t item;
    long put = 0, got = 0;
    while (got < tasks) {
        if (put < tasks && put - got < CAPACITY && try_put(&shared->tasks, (uintptr_t)put + 1)) {
            put++;
            continue;
        }
        item = get(&shared->results);
        got++;
        while (got < put && try_get(&shared->results, &item))
            got++;
    }
}

static double empty(long iterations, const char *variant)
{
    begin(variant);
    all(iterations / 10);
    double start = bench_clock();
    all(iterations);
    double seconds = bench_clock() - start;
    end();
    return seconds / (double)iterations * 1e9;
}

static void one_by_one(long tasks)
{
    for (long i = 1; i <= tasks; i++) {
        while (!try_put(&shared->tasks, (uintptr_t)i))
            ;
        get(&shared->results);
    }
}

static double round_trip(long iterations, const char *variant)
{
    begin(variant);
    one_by_one(iterations / 10);
    double start = bench_clock();
    one_by_one(iterations);
    double seconds = bench_clock() - start;
    end();
    return seconds / (double)iterations * 1e9;
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {{"pool-process-empty", empty}, {"pool-process-round-trip", round_trip},
        {"pool-process-round-trip-pinned", round_trip}, {NULL, NULL}};
    return bench_main(argc, argv, rows);
}
