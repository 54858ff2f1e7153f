/* SPDX-License-Identifier: MIT */
/*
 * The limit of a queue: a lock-free ring of 1024 places for many producers and consumers, in Vyukov's way. Each place has a turn number: a
 * producer may fill place p in round r when its turn is p + r * 1024, a consumer empty it when the turn is one more. No blocking
 * (who finds it full or empty pauses and looks again, and gives up its processor after a thousand looks), no close.
 */
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "../bench.h"

enum { CAPACITY = 1024, PATIENCE = 1000 };

struct place {
    _Atomic size_t turn;
    uintptr_t item;
};

static struct {
    struct place places[CAPACITY];
    _Alignas(128) _Atomic size_t tail;
    _Alignas(128) _Atomic size_t head;
} ring;

static void pause_a_little(int *looks)
{
    if (++*looks % PATIENCE == 0)
        sched_yield();
    else
        bench_pause();
}

/* Takes the next place of `end` whose turn has come: `late` is how far behind the place's own number a free turn lies. */
static struct place *claim(_Atomic size_t *end, size_t late, size_t *number)
{
    int looks = 0;
    size_t at = atomic_load_explicit(end, memory_order_relaxed);
    for (;;) {
        struct place *place = &ring.places[at % CAPACITY];
        ptrdiff_t ahead = (ptrdiff_t)(atomic_load_explicit(&place->turn, memory_order_acquire) - (at + late));
        if (ahead == 0 && atomic_compare_exchange_weak_explicit(end, &at, at + 1, memory_order_relaxed, memory_order_relaxed)) {
            *number = at;
            return place;
        }
        if (ahead < 0)
            pause_a_little(&looks);
        if (ahead != 0)
            at = atomic_load_explicit(end, memory_order_relaxed);
    }
}

static void put(uintptr_t item)
{
    size_t number;
    struct place *place = claim(&ring.tail, 0, &number);
    place->item = item;
    atomic_store_explicit(&place->turn, number + 1, memory_order_release);
}

static uintptr_t get(void)
{
    size_t number;
    struct place *place = claim(&ring.head, 1, &number);
    uintptr_t item = place->item;
    atomic_store_explicit(&place->turn, number + CAPACITY, memory_order_release);
    return item;
}

static _Atomic uintptr_t sum;

/* The even members produce, the odd ones consume. */
static void work(long share, int member, void *data)
{
    (void)data;
    uintptr_t seen = 0;
    for (long i = 1; i <= share; i++)
        if (member % 2 == 0)
            put((uintptr_t)i);
        else
            seen += get();
    atomic_fetch_add(&sum, seen);
}

static double measure(long iterations, int pairs)
{
    for (size_t i = 0; i < CAPACITY; i++)
        atomic_init(&ring.places[i].turn, i);
    bench_team_seconds(2 * pairs, iterations / pairs / 10, work, NULL);
    atomic_store(&sum, 0);
    long share = iterations / pairs;
    double seconds = bench_team_seconds(2 * pairs, share, work, NULL);
    bench_need(atomic_load(&sum) == (uintptr_t)(share * (share + 1) / 2 * pairs), "ring: items were lost");
    return seconds / (double)iterations * 1e9;
}

static double one_pair(long iterations, const char *variant)
{
    (void)variant;
    return measure(iterations, 1);
}

static double two_pairs(long iterations, const char *variant)
{
    (void)variant;
    return measure(iterations, 2);
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {{"queue-1p1c", one_pair}, {"queue-2p2c", two_pairs}, {NULL, NULL}};
    return bench_main(argc, argv, rows);
}
