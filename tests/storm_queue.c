/* SPDX-License-Identifier: MIT */
/*
 * Storms over queues: processes put into and take from a queue in shared memory. No value whose put returned is lost
 * (from a plain queue: but those that the dead had taken), none is held by two who live, those of one producer come in their order, and no
 * block is left over.
 */
#include <string.h>
#include <sys/mman.h>

#include "family/family.h"
#include "queue/queue_shared_bids.h"
#include "storm.h"

enum { PRODUCERS = 2, CONSUMERS = 3, WORKERS = PRODUCERS + CONSUMERS, BIRTHS = 1 << 16, VALUES = 1 << 20, LONG_ENOUGH = 2000, TESTS = 6 };

static const double ROUND_SECONDS = 0.7;

/* Shared by inheritance. */
struct storm {
    weft_queue *queue;
    uint64_t begun[PRODUCERS], put[PRODUCERS]; /* of each role */
    uint64_t before;                           /* blocks, without the queue */
    uint64_t takers;                           /* that have died */
    uint8_t dead[BIRTHS];                      /* is about to be killed */
    uint32_t holder[PRODUCERS][VALUES];        /* worker that has the value, or 0 */
    uint8_t seen[PRODUCERS][VALUES];
};
static struct storm *storm;

/* Of the round's queue. */
static size_t capacity;
static bool joinable;
static bool unordered; /* what had been handed to the dead comes back later than what was put after it */
static enum weft_queue_order order;

/* One in four has a block of its own: that takes more steps in the gate. */
static size_t value_size(uint64_t number)
{
    return number % 64 == 63 ? 40000 : number % 4 == 1 ? 600 : 8 + number % 5 * 60;
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
    size_t length = weft_length(value), more = sizeof(name);
    storm_must(length == value_size(number));
    storm_must(length == more || (octets[more] == (char)number && memcmp(octets + more, octets + more + 1, length - more - 1) == 0));
    return name;
}

static bool storm_is_full(void)
{
    bool full = storm_birth(WORKERS - 1) > BIRTHS - 100;
    for (int role = 0; role < PRODUCERS; role++)
        full |= __atomic_load_n(&storm->begun[role], __ATOMIC_RELAXED) > VALUES - 10;
    return full;
}

static void produces(unsigned role)
{
    while (!storm_over() && storm->begun[role] < VALUES - 1) {
        uint64_t number = ++storm->begun[role];
        while (weft_queue_size(storm->queue) > LONG_ENOUGH)
            weft_sleep(0.0005);
        weft_value value = storm_value(role, number);
        storm_enter();
        storm_must(weft_queue_put(storm->queue, value, WEFT_FOREVER) == 0);
        storm_leave();
        __atomic_store_n(&storm->put[role], number, __ATOMIC_RELEASE);
        __atomic_or_fetch(&storm->seen[role][number], 128, __ATOMIC_RELAXED); /* its put has returned */
    }
}

static int64_t storm_key(weft_value value, void *data)
{
    (void)data;
    return (int64_t)(uint32_t)value_name(value);
}

static void value_is_mine(uint32_t me, uint32_t role, uint64_t number)
{
    uint32_t before = __atomic_exchange_n(&storm->holder[role][number], me, __ATOMIC_ACQ_REL);
    storm_must(before == 0 || (joinable && __atomic_load_n(&storm->dead[before], __ATOMIC_ACQUIRE)));
    storm_must(before == 0 || weft_queue_deliveries(storm->queue) > 1);
}

/* False when the queue is closed. */
static bool value_get(weft_value *value)
{
    storm_enter();
    int got = weft_queue_get(storm->queue, value, WEFT_FOREVER);
    storm_leave();
    storm_must(got == 0 || errno == EPIPE);
    return got == 0;
}

static void value_done(uint32_t role, uint64_t number)
{
    __atomic_store_n(&storm->holder[role][number], 0, __ATOMIC_RELEASE);
    storm_enter();
    storm_must(weft_queue_task_done(storm->queue) == 0);
    storm_leave();
}

static void consumes(unsigned place)
{
    uint32_t me = storm_birth(place);
    uint64_t last[PRODUCERS] = {0};
    for (weft_value got; value_get(&got); storm_went_on()) {
        uint64_t name = value_name(got), number = (uint32_t)name;
        uint32_t role = (uint32_t)(name >> 32);
        weft_drop(got);
        storm_must(role < PRODUCERS && number < VALUES);
        bool again = joinable && weft_queue_deliveries(storm->queue) > 1;
        storm_must(again || unordered || number > last[role]);
        last[role] = number > last[role] ? number : last[role];
        value_is_mine(me, role, number);
        __atomic_or_fetch(&storm->seen[role][number], 1, __ATOMIC_RELAXED);
        if (joinable)
            value_done(role, number);
    }
}

static void work(unsigned number)
{
    if (number < PRODUCERS)
        produces(number);
    else
        consumes(number);
}

static void doomed(unsigned number)
{
    __atomic_store_n(&storm->dead[storm_birth(number)], 1, __ATOMIC_RELEASE);
}

static void buried(unsigned number)
{
    storm->takers += number >= PRODUCERS;
}

static void prepare(void)
{
    storm = mmap(NULL, sizeof(*storm), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    storm_must(storm != MAP_FAILED);
    storm->before = storm_blocks();
    storm->queue = weft_queue_new(.shared = true, .capacity = capacity, .joinable = joinable, .order = order,
        .key = order == WEFT_PRIORITY ? storm_key : NULL, .deaths = 60000);
    storm_must(storm->queue != NULL);
}

/* Producers end by themselves; then all that is there is taken. */
static void finish(void)
{
    for (unsigned i = 0; i < PRODUCERS; i++)
        storm_ends(i);
    if (joinable)
        storm_must(weft_queue_join(storm->queue, weft_in(20)) == 0);
    weft_queue_close(storm->queue);
}

/* Nobody has a bid any more; what lies there has been put, and waits for a getter. */
static void bids_are_nobodys(void)
{
    const struct wefti_rendezvous *meets = (const struct wefti_rendezvous *)storm->queue;
    for (struct wefti_bid *bid = wefti_bid_after(meets, 0); bid; bid = wefti_bid_after(meets, bid->number))
        storm_must(wefti_bid_owner(wefti_bid_look(bid)) == 0);
}

static void check(void)
{
    uint64_t lost = 0;
    for (int role = 0; role < PRODUCERS; role++)
        for (uint64_t number = 1; number <= storm->begun[role]; number++)
            lost += storm->seen[role][number] == 128;
    storm_must(lost <= (joinable ? 0 : storm->takers));
    if (capacity == WEFT_RENDEZVOUS)
        bids_are_nobodys();
    weft_queue_free(storm->queue);
    storm_blocks_are(storm->before);
}

static void storm_runs(size_t bound, bool leases, enum weft_queue_order which)
{
    STORM_OR_SKIP;
    capacity = bound;
    joinable = leases;
    order = which;
    unordered = order != WEFT_FIFO || capacity == WEFT_RENDEZVOUS;
    storm_run(&(struct storm_plan){.name = "queue",
        .workers = WORKERS,
        .prepare = prepare,
        .work = work,
        .check = check,
        .doomed = doomed,
        .buried = buried,
        .finish = finish,
        .enough = storm_is_full,
        .one_suffices = true,
        .inside_least = 30,
        .seconds = ROUND_SECONDS,
        .share = TESTS});
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
