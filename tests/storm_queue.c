/* SPDX-License-Identifier: MIT */
/*
 * A storm: processes put into and take from a queue in shared memory, and one of them is killed at any moment, again and again. No value whose put returned is lost
 * (from a plain queue: but those that the dead had taken), none is held by two who live, those of one producer come in their order, nobody hangs, and
 * no block is left over.
 *
 * WEFT_STORM_SECONDS and WEFT_STORM_SEED make it longer, or the same again (the same kills; not the same interleaving).
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/leave.h"
#include "family/family.h"
#include "fixture.h"
#include "shared/block.h"
#include "shared/life.h"

enum { PRODUCERS = 2, CONSUMERS = 3, WORKERS = 1 << 16, VALUES = 1 << 20, LONG_ENOUGH = 2000, ENDED = 1 };

static const double ROUND_SECONDS = 0.7;
static const weft_time SLOW = 1000000000; /* the promise: a standstill after a death does not last longer */

/* Shared by inheritance. A worker is one process, a role what it goes on with. */
struct storm {
    weft_queue *queue;
    bool joinable;
    bool unordered; /* what had been handed to the dead comes back later than what was put after it */
    uint32_t stop;
    uint64_t begun[PRODUCERS], put[PRODUCERS]; /* of each role */
    uint64_t done;                             /* values, all together */
    uint32_t failed;                           /* line of the first that found something wrong */
    uint8_t dead[WORKERS];                     /* is about to be killed */
    uint32_t holder[PRODUCERS][VALUES];        /* worker that has the value, or 0 */
    uint8_t seen[PRODUCERS][VALUES];
};
static struct storm *storm;

struct worker {
    struct wefti_process *process;
    uint32_t number, role;
};

#define MUST(condition)                                                                                                    \
    do {                                                                                                                   \
        uint32_t storm_none = 0;                                                                                           \
        if (!(condition)) {                                                                                                \
            __atomic_compare_exchange_n(&storm->failed, &storm_none, __LINE__, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED); \
            wefti_leave(__LINE__ % 250 + 1);                                                                               \
        }                                                                                                                  \
    } while (0)

static size_t value_size(uint64_t number)
{
    return number % 64 == 63 ? 40000 : 8 + number % 5 * 60;
}

static weft_value storm_value(uint32_t role, uint64_t number)
{
    char octets[40000];
    uint64_t name = (uint64_t)role << 32 | number;
    if (number % 3 == 0)
        return weft_int((int64_t)name);
    memset(octets, (int)number, value_size(number));
    memcpy(octets, &name, sizeof(name));
    return weft_bytes(octets, value_size(number));
}

static uint64_t value_name(weft_value value)
{
    uint64_t name;
    if (weft_kind(value) == WEFT_INT)
        return (uint64_t)weft_as_int(value);
    const char *octets = weft_as_bytes(value);
    memcpy(&name, octets, sizeof(name));
    uint64_t number = (uint32_t)name;
    MUST(weft_length(value) == value_size(number));
    for (size_t i = sizeof(name); i < weft_length(value); i++)
        MUST(octets[i] == (char)number);
    return name;
}

static int produces(struct wefti_process *self)
{
    uint32_t role = (uint32_t)(uintptr_t)self->data >> 16;
    while (!__atomic_load_n(&storm->stop, __ATOMIC_ACQUIRE) && storm->begun[role] < VALUES - 1) {
        uint64_t number = ++storm->begun[role];
        while (weft_queue_size(storm->queue) > LONG_ENOUGH)
            weft_sleep(0.0005);
        MUST(weft_queue_put(storm->queue, storm_value(role, number), WEFT_FOREVER) == 0);
        __atomic_store_n(&storm->put[role], number, __ATOMIC_RELEASE);
        __atomic_or_fetch(&storm->seen[role][number], 128, __ATOMIC_RELAXED); /* its put has returned */
    }
    return 0;
}

static int64_t storm_key(weft_value value, void *data)
{
    (void)data;
    return (int64_t)(uint32_t)value_name(value);
}

static void value_is_mine(uint32_t me, uint32_t role, uint64_t number)
{
    uint32_t before = __atomic_exchange_n(&storm->holder[role][number], me, __ATOMIC_ACQ_REL);
    MUST(before == 0 || (storm->joinable && __atomic_load_n(&storm->dead[before], __ATOMIC_ACQUIRE)));
    MUST(before == 0 || weft_queue_deliveries(storm->queue) > 1);
}

static int consumes(struct wefti_process *self)
{
    uint32_t me = (uint32_t)(uintptr_t)self->data;
    uint64_t last[PRODUCERS] = {0};
    weft_value got;
    while (weft_queue_get(storm->queue, &got, WEFT_FOREVER) == 0) {
        uint64_t name = value_name(got), number = (uint32_t)name;
        uint32_t role = (uint32_t)(name >> 32);
        weft_drop(got);
        MUST(role < PRODUCERS && number < VALUES);
        bool again = storm->joinable && weft_queue_deliveries(storm->queue) > 1;
        MUST(again || storm->unordered || number > last[role]);
        last[role] = number > last[role] ? number : last[role];
        value_is_mine(me, role, number);
        __atomic_or_fetch(&storm->seen[role][number], 1, __ATOMIC_RELAXED);
        if (storm->joinable) {
            __atomic_store_n(&storm->holder[role][number], 0, __ATOMIC_RELEASE);
            MUST(weft_queue_task_done(storm->queue) == 0);
        }
        __atomic_add_fetch(&storm->done, 1, __ATOMIC_RELAXED);
    }
    MUST(errno == EPIPE);
    return 0;
}

static void worker_start(struct worker *worker, uint32_t number, bool producer)
{
    worker->number = number;
    worker->process = wefti_process_new(producer ? produces : consumes, (void *)(uintptr_t)(number | worker->role << 16)); /* NOLINT */
    MUST(worker->process && wefti_process_start(worker->process) == 0);
}

static void worker_ends(struct worker *worker, bool killed)
{
    int status = -1;
    MUST(wefti_process_wait(worker->process, &status, WEFT_FOREVER) == 0);
    MUST(killed ? WIFSIGNALED(status) || status == 0 : status == 0);
    wefti_process_let_go(worker->process);
}

static uint64_t lives_count(void)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < WEFTI_SEATS; i++)
        for (const struct wefti_life *life = wefti_family_now()->seats[i].lives; life; life = life->next) {
            count++;
            for (const struct wefti_life_more *more = life->more; more; more = more->next)
                count++;
        }
    return count;
}

static uint64_t committed(void)
{
    struct wefti_blocks_census census;
    wefti_blocks_count(&census);
    MUST(census.wrong == 0);
    return census.committed - lives_count();
}

static unsigned rounds;

static unsigned storm_seed(void)
{
    const char *said = getenv("WEFT_STORM_SEED");
    return (said ? (unsigned)strtoul(said, NULL, 10) : (unsigned)getpid()) + rounds;
}

/* Of one test, which is then done in rounds. */
static double storm_seconds(void)
{
    const char *said = getenv("WEFT_STORM_SECONDS");
    return said ? strtod(said, NULL) / 6 : ROUND_SECONDS;
}

/* Whether there are as many values as can be told apart. */
static bool storm_is_full(void)
{
    bool full = false;
    for (int role = 0; role < PRODUCERS; role++)
        full |= __atomic_load_n(&storm->begun[role], __ATOMIC_RELAXED) > VALUES - 10;
    return full;
}

/* Until somebody gets on: the longest that took. */
static weft_time until_progress(void)
{
    uint64_t done = __atomic_load_n(&storm->done, __ATOMIC_RELAXED);
    weft_time begun = weft_clock();
    while (__atomic_load_n(&storm->done, __ATOMIC_RELAXED) == done && !storm->failed && !storm_is_full())
        weft_sleep(0.0002);
    return weft_clock() - begun;
}

static void storm_ends(struct worker *workers, uint64_t lost_most)
{
    __atomic_store_n(&storm->stop, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < PRODUCERS; i++)
        worker_ends(&workers[i], false);
    if (storm->joinable)
        MUST(weft_queue_join(storm->queue, WEFT_FOREVER) == 0);
    weft_queue_close(storm->queue);
    for (int i = PRODUCERS; i < PRODUCERS + CONSUMERS; i++)
        worker_ends(&workers[i], false);
    uint64_t lost = 0;
    for (int role = 0; role < PRODUCERS; role++)
        for (uint64_t number = 1; number <= storm->begun[role]; number++)
            lost += storm->seen[role][number] == 128;
    MUST(lost <= lost_most);
    weft_queue_free(storm->queue);
}

static int root_of_the_storm(size_t capacity, bool joinable, enum weft_queue_order order)
{
    struct worker workers[PRODUCERS + CONSUMERS];
    unsigned seed = storm_seed(), next = 1, kills = 0, takers = 0, slow = 0;
    weft_time longest = 0;
    storm->joinable = joinable;
    storm->unordered = order != WEFT_FIFO || capacity == WEFT_RENDEZVOUS;
    MUST(weft_shared_limit((size_t)256 << 20) == 0 && wefti_family_begin() == 0);
    uint64_t before = committed();
    storm->queue = weft_queue_new(.shared = true, .capacity = capacity, .joinable = joinable, .order = order,
        .key = order == WEFT_PRIORITY ? storm_key : NULL, .deaths = 60000);
    MUST(storm->queue);
    for (uint32_t i = 0; i < PRODUCERS + CONSUMERS; i++) {
        workers[i].role = i < PRODUCERS ? i : 0;
        worker_start(&workers[i], next++, i < PRODUCERS);
    }
    for (weft_time finish = weft_in(ROUND_SECONDS); weft_clock() < finish && !storm_is_full() && !storm->failed; kills++) {
        struct worker *worker = &workers[(unsigned)rand_r(&seed) % (PRODUCERS + CONSUMERS)];
        bool producer = worker < workers + PRODUCERS;
        nanosleep(&(struct timespec){.tv_nsec = rand_r(&seed) % 3000000}, NULL);
        __atomic_store_n(&storm->dead[worker->number], 1, __ATOMIC_RELEASE);
        kill(worker->process->pid, SIGKILL);
        worker_ends(worker, true);
        takers += !producer;
        worker_start(worker, next++, producer);
        weft_time stall = until_progress();
        longest = stall > longest ? stall : longest;
        slow += stall > SLOW;
    }
    MUST(slow <= 1 + kills / 100); /* on a busy machine it may be that nobody is let run */
    storm_ends(workers, joinable ? 0 : takers);
    for (weft_time late = weft_in(10);
         committed() != before && weft_clock() < late;) /* the supervisor has yet to let the last processes go */
        weft_sleep(0.001);
    MUST(committed() == before);
    printf("storm of seed %u: %u killed, %llu values, longest standstill %.1f ms\n", storm_seed(), kills, (unsigned long long)storm->done,
        (double)longest * 1e-6);
    fflush(stdout);
    return storm->failed ? ENDED : 0;
}

static void storm_round(size_t capacity, bool joinable, enum weft_queue_order order)
{
    int status = -1;
    storm = mmap(NULL, sizeof(*storm), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ck_assert_ptr_ne(storm, MAP_FAILED);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        wefti_leave(root_of_the_storm(capacity, joinable, order));
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(status == 0, "status %x; line %u; seed %u", (unsigned)status, storm->failed, storm_seed());
    munmap(storm, sizeof(*storm));
}

static void storm_runs(size_t capacity, bool joinable, enum weft_queue_order order)
{
    if (fixture_copies())
        fixture_skip("Valgrind knows no pidfds");
    weft_time finish = weft_in(storm_seconds());
    do
        storm_round(capacity, joinable, order);
    while (rounds++, getenv("WEFT_STORM_SECONDS") && weft_clock() < finish);
}

START_TEST(a_plain_queue_in_the_storm)
{
    storm_runs(10, false, WEFT_FIFO);
}
END_TEST

START_TEST(an_unbounded_queue_in_the_storm)
{
    storm_runs(WEFT_UNBOUNDED, false, WEFT_FIFO);
}
END_TEST

START_TEST(a_joinable_queue_in_the_storm)
{
    storm_runs(20, true, WEFT_FIFO);
}
END_TEST

START_TEST(a_stack_in_the_storm)
{
    storm_runs(20, true, WEFT_LIFO);
}
END_TEST

START_TEST(priorities_in_the_storm)
{
    storm_runs(20, false, WEFT_PRIORITY);
}
END_TEST

START_TEST(a_rendezvous_in_the_storm)
{
    storm_runs(WEFT_RENDEZVOUS, false, WEFT_FIFO);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_rendezvous_in_the_storm);
    tcase_add_test(tests, a_stack_in_the_storm);
    tcase_add_test(tests, priorities_in_the_storm);
    tcase_add_test(tests, a_plain_queue_in_the_storm);
    tcase_add_test(tests, an_unbounded_queue_in_the_storm);
    tcase_add_test(tests, a_joinable_queue_in_the_storm);
}

int main(void)
{
    return fixture_main("storm_queue", add);
}
