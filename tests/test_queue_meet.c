/* SPDX-License-Identifier: MIT */
/*
 * A rendezvous in shared memory: puts and gets of threads, coroutines and processes meet, and what is left when one of them dies at any
 * instruction.
 */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/leave.h"
#include "base/memory.h"
#include "fixture.h"
#include "queue/queue_shared.h"
#include "shared/block.h"
#include "shared/meeting.h"
#include "step.h"
#include "wait/context.h"
#include "wait/waitable.h"

enum { SMALL_BLOCK = 300, LARGE_BLOCK = 33000 };

static struct stage {
    weft_queue *queue, *other;
    uint32_t begun, returned; /* of the stepped one */
    uint32_t size;            /* of its values; 0: numbers */
    uint32_t blocks;          /* before anybody came */
    int64_t got;
} * stage;

static weft_value value_of(uint32_t size, int number)
{
    char octets[LARGE_BLOCK];
    memset(octets, number, size);
    return size ? weft_bytes(octets, size) : weft_int(number);
}

static int number_of(weft_value value)
{
    int number = weft_kind(value) == WEFT_INT ? (int)weft_as_int(value) : *(const char *)weft_as_bytes(value);
    weft_drop(value);
    return number;
}

/* Takes one at once: its number, or -1. */
static int take(weft_queue *queue)
{
    weft_value got;
    return weft_queue_get(queue, &got, WEFT_NOW) == 0 ? number_of(got) : -1;
}

static uint32_t lives_that(bool sleep)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < WEFTI_SEATS; i++)
        for (const struct wefti_life *life = __atomic_load_n(&wefti_family_get()->seats[i].lives, __ATOMIC_ACQUIRE); life;
             life = life->next)
            count += !sleep || (wefti_meet_state(wefti_meet_look(life)) == WEFTI_MEET_OPEN &&
                                   __atomic_load_n(&life->waits_used, __ATOMIC_ACQUIRE) > 0);
    return count;
}

#define UNTIL_WAITING(count_) fixture_until(lives_that(true) == (count_))

static uint32_t blocks(void)
{
    struct wefti_blocks_census census;
    wefti_blocks_count(&census);
    ck_assert_uint_eq(census.wrong, 0);
    return (uint32_t)census.committed - lives_that(false);
}

static weft_value puts_once(weft_value queue)
{
    return weft_int(weft_queue_put(weft_as_ptr(queue), weft_int(0), weft_in(0.001)));
}

static void set_up(void)
{
    ck_assert_int_eq(weft_shared_limit(4 << 20), 0);
    stage = weft_shared_new(struct stage);
    stage->queue = weft_queue_new(.shared = true, .capacity = WEFT_RENDEZVOUS);
    stage->other = weft_queue_new(.shared = true, .capacity = WEFT_RENDEZVOUS);
    ck_assert(stage->queue && stage->other && weft_is_shared(stage->queue));
    for (int i = 0; i < 2; i++) { /* so that there are tables, and lives */
        weft_task *task = weft_spawn(WEFT_THREAD, puts_once, weft_ptr(i ? stage->other : stage->queue));
        ck_assert_int_eq(weft_task_join(task, WEFT_FOREVER), 0);
        weft_task_free(task);
    }
    stage->blocks = blocks();
}

static void nothing_left(void)
{
    struct wefti_blocks_census census;
    wefti_blocks_count(&census);
    ck_assert_uint_eq(blocks(), stage->blocks);
    ck_assert_uint_eq(census.in_hand + census.chunks_taken, 0);
}

/* Threads. */

static weft_value gets(weft_value data)
{
    weft_value got;
    (void)data;
    return weft_queue_get(stage->queue, &got, WEFT_FOREVER) == 0 ? got : weft_int(-errno);
}

static weft_value gives(weft_value value)
{
    weft_value kept = weft_keep(value);
    if (weft_queue_put(stage->queue, kept, WEFT_FOREVER) == 0)
        return weft_int(0);
    weft_drop(kept);
    return weft_int(-errno);
}

static weft_value ended(weft_task *task)
{
    weft_value result;
    ck_assert_int_eq(weft_task_result(task, &result, WEFT_FOREVER), 0);
    weft_task_free(task);
    return result;
}

static void passes(weft_value value)
{
    weft_value got;
    weft_task *task = weft_spawn(WEFT_THREAD, gets, weft_none);
    UNTIL_WAITING(1);
    ck_assert_int_eq(weft_queue_put(stage->queue, weft_keep(value), WEFT_NOW), 0); /* it may try only: a getter waits */
    got = ended(task);
    ck_assert(weft_equal(got, value));
    weft_drop(got);
    task = weft_spawn(WEFT_THREAD, gives, weft_keep(value));
    UNTIL_WAITING(1);
    ck_assert_uint_eq(weft_queue_size(stage->queue), 0);
    ck_assert_int_eq(weft_queue_get(stage->queue, &got, WEFT_NOW), 0);
    ck_assert(weft_equal(got, value));
    weft_drop(got);
    ck_assert_int_eq(number_of(ended(task)), 0);
    weft_drop(value);
}

START_TEST(a_value_goes_from_one_to_the_other)
{
    passes(weft_none);
    passes(weft_int(INT64_MIN));
    passes(weft_str("short"));
    passes(weft_tuple((weft_value[]){weft_int(1), weft_str("two")}, 2));
    passes(value_of(SMALL_BLOCK, 5));
    passes(value_of(LARGE_BLOCK, 6));
    nothing_left();
}
END_TEST

START_TEST(who_does_not_wait_needs_one_who_does)
{
    weft_value got = weft_int(3), kept = value_of(SMALL_BLOCK, 1);
    ck_fails(weft_queue_get(stage->queue, &got, WEFT_NOW), EAGAIN);
    ck_fails(weft_queue_put(stage->queue, kept, WEFT_NOW), EAGAIN);
    ck_fails(weft_queue_get(stage->queue, &got, weft_in(0.001)), ETIMEDOUT);
    ck_fails(weft_queue_put(stage->queue, kept, weft_in(0.001)), ETIMEDOUT);
    ck_fails(weft_queue_get(stage->queue, &got, WEFT_NOW), EAGAIN); /* the offer went with him who made it */
    ck_fails(weft_queue_put_many(stage->queue, &kept, 1, WEFT_NOW), EAGAIN);
    ck_fails(weft_queue_get_many(stage->queue, &got, 1, weft_in(0.001)), ETIMEDOUT);
    ck_assert_int_eq(weft_as_int(got), 3);
    wefti_context_cancel(wefti_context_current());
    ck_fails(weft_queue_put(stage->queue, kept, WEFT_FOREVER), ECANCELED);
    ck_fails(weft_queue_get(stage->queue, &got, WEFT_FOREVER), ECANCELED);
    wefti_context_uncancel(wefti_context_current());
    ck_fails(weft_queue_put(stage->queue, weft_ptr(&got), WEFT_FOREVER), EFAULT);
    ck_assert(weft_queue_empty(stage->queue) && weft_queue_full(stage->queue));
    ck_assert_uint_eq(weft_queue_capacity(stage->queue), WEFT_RENDEZVOUS);
    ck_fails(weft_queue_task_done(stage->queue), ENOTSUP);
    ck_fails(weft_queue_join(stage->queue, WEFT_NOW), ENOTSUP);
    ck_fails_null(weft_queue_new(.shared = true, .capacity = WEFT_RENDEZVOUS, .joinable = true), ENOTSUP);
    weft_drop(kept);
    nothing_left();
}
END_TEST

START_TEST(who_came_first_is_first)
{
    weft_task *tasks[4];
    for (int i = 0; i < 4; i++) {
        tasks[i] = weft_spawn(WEFT_THREAD, gives, value_of(i % 2 ? SMALL_BLOCK : 0, i));
        UNTIL_WAITING((uint32_t)i + 1);
    }
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(take(stage->queue), i);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(number_of(ended(tasks[i])), 0);
    stage->blocks = blocks(); /* the table may have grown */
    for (int i = 0; i < 4; i++) {
        tasks[i] = weft_spawn(WEFT_THREAD, gets, weft_none);
        UNTIL_WAITING((uint32_t)i + 1);
    }
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(weft_queue_put(stage->queue, weft_int(i), WEFT_NOW), 0);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(number_of(ended(tasks[i])), i);
    nothing_left();
}
END_TEST

START_TEST(close_ends_the_wait_of_both)
{
    weft_queue *queue = stage->queue;
    weft_value got;
    weft_task *task = weft_spawn(WEFT_THREAD, gives, value_of(LARGE_BLOCK, 1));
    UNTIL_WAITING(1);
    weft_queue_close(queue);
    ck_assert_int_eq(number_of(ended(task)), -EPIPE);
    ck_fails(weft_queue_put(queue, weft_none, WEFT_FOREVER), EPIPE);
    ck_fails(weft_queue_get(queue, &got, WEFT_NOW), EPIPE);
    stage->queue = stage->other;
    task = weft_spawn(WEFT_THREAD, gets, weft_none);
    UNTIL_WAITING(1);
    ck_assert_uint_eq(weft_queue_close_now(stage->other), 0);
    ck_assert_int_eq(number_of(ended(task)), -EPIPE);
    ck_assert(weft_queue_closed(stage->other));
    weft_case one = weft_case_get(queue, &got);
    ck_assert_int_eq(weft_select(&one, 1, WEFT_FOREVER), 0);
    ck_assert_int_eq(one.error, EPIPE);
    weft_queue_free(queue);
    weft_queue_free(stage->other);
}
END_TEST

/* Select. */

/* Gives 1 to the one or takes from the other, whichever comes first. */
static weft_value chooses(weft_value data)
{
    weft_value give = value_of(SMALL_BLOCK, 1), got = weft_none;
    weft_case cases[2] = {weft_case_put(stage->queue, &give), weft_case_get(stage->other, &got)};
    (void)data;
    int done = weft_select(cases, 2, WEFT_FOREVER);
    if (done == 1)
        weft_drop(give);
    return done < 0 || cases[done].error ? weft_int(-1) : done == 0 ? weft_int(100) : weft_int(number_of(got));
}

START_TEST(a_select_offers_all_and_does_one)
{
    weft_task *task = weft_spawn(WEFT_THREAD, chooses, weft_none);
    UNTIL_WAITING(1);
    ck_assert_int_eq(take(stage->queue), 1);
    ck_assert_int_eq(number_of(ended(task)), 100);
    ck_assert_int_eq(take(stage->queue), -1);
    task = weft_spawn(WEFT_THREAD, chooses, weft_none);
    UNTIL_WAITING(1);
    ck_assert_int_eq(weft_queue_put(stage->other, value_of(SMALL_BLOCK, 7), WEFT_NOW), 0);
    ck_assert_int_eq(number_of(ended(task)), 7);
    ck_assert_int_eq(take(stage->queue), -1);
    nothing_left();
}
END_TEST

START_TEST(two_selects_meet)
{
    for (int i = 0; i < 50; i++) {
        weft_task *task = weft_spawn(WEFT_THREAD, chooses, weft_none);
        weft_value give = value_of(i % 3 ? SMALL_BLOCK : 0, 9), got;
        weft_case cases[] = {weft_case_get(stage->queue, &got), weft_case_put(stage->other, &give), weft_case_time(WEFT_FOREVER)};
        int done = weft_select(cases, 3, WEFT_FOREVER);
        ck_assert(done == 0 || done == 1);
        ck_assert_int_eq(cases[done].error, 0);
        ck_assert_int_eq(number_of(ended(task)), done == 0 ? 100 : 9);
        if (done == 0) {
            ck_assert_int_eq(number_of(got), 1);
            weft_drop(give);
        }
    }
    nothing_left();
}
END_TEST

START_TEST(a_select_does_not_wait_for_both_kinds)
{
    weft_queue *here = weft_queue_new(.capacity = WEFT_RENDEZVOUS);
    weft_value got;
    weft_case cases[] = {weft_case_get(here, &got), weft_case_get(stage->queue, &got)};
    ck_fails(weft_select(cases, 2, WEFT_NOW), EAGAIN);
    ck_assert_int_eq(weft_select(cases, 2, WEFT_FOREVER), 1);
    ck_assert_int_eq(cases[1].error, ENOTSUP);
    weft_task *task = weft_spawn(WEFT_THREAD, gives, weft_int(4));
    UNTIL_WAITING(1);
    ck_assert_int_eq(weft_select(cases, 2, WEFT_FOREVER), 1);
    ck_assert_int_eq(cases[1].error, 0);
    ck_assert_int_eq(number_of(got), 4);
    ck_assert_int_eq(number_of(ended(task)), 0);
    weft_queue_free(here);
    nothing_left();
}
END_TEST

/* Coroutines. */

static weft_value puts_hundred(weft_value data)
{
    (void)data;
    for (int i = 0; i < 100; i++)
        if (weft_queue_put(stage->queue, value_of(i % 2 ? SMALL_BLOCK : 0, i), WEFT_FOREVER) != 0)
            return weft_int(-1);
    return weft_int(0);
}

static weft_value gets_hundred(weft_value data)
{
    weft_value got;
    (void)data;
    for (int i = 0; i < 100; i++)
        if (weft_queue_get(stage->queue, &got, WEFT_FOREVER) != 0 || number_of(got) != i)
            return weft_int(-1);
    return weft_int(0);
}

START_TEST(coroutines_meet)
{
    weft_task *putter = weft_spawn(WEFT_COROUTINE, puts_hundred, weft_none), *getter = weft_spawn(WEFT_COROUTINE, gets_hundred, weft_none);
    ck_assert_int_eq(number_of(ended(putter)), 0);
    ck_assert_int_eq(number_of(ended(getter)), 0);
    putter = weft_spawn(WEFT_COROUTINE, puts_hundred, weft_none);
    getter = weft_spawn(WEFT_THREAD, gets_hundred, weft_none);
    ck_assert_int_eq(number_of(ended(putter)), 0);
    ck_assert_int_eq(number_of(ended(getter)), 0);
}
END_TEST

/* Processes. */

static int puts_and_ends(void)
{
    return weft_queue_put(stage->queue, value_of(stage->size, 1), WEFT_FOREVER);
}

static int gets_and_ends(void)
{
    weft_value got;
    if (weft_queue_get(stage->queue, &got, WEFT_FOREVER) != 0)
        return 1;
    stage->got = number_of(got);
    return 0;
}

START_TEST(processes_meet)
{
    static const uint32_t sizes[] = {0, SMALL_BLOCK, LARGE_BLOCK};
    for (int i = 0; i < 3; i++) {
        stage->size = sizes[i];
        struct member putter = member_start(puts_and_ends);
        fixture_until(member_sleeps(&putter));
        struct member getter = member_start(gets_and_ends);
        member_ends(&putter);
        member_ends(&getter);
        ck_assert_int_eq(stage->got, 1);
        getter = member_start(gets_and_ends);
        fixture_until(member_sleeps(&getter));
        ck_assert_int_eq(weft_queue_put(stage->queue, value_of(stage->size, 2), WEFT_NOW), 0);
        member_ends(&getter);
        ck_assert_int_eq(stage->got, 2);
    }
    nothing_left();
}
END_TEST

START_TEST(what_the_dead_offered_goes_with_them)
{
    stage->size = SMALL_BLOCK;
    struct member putter = member_start(puts_and_ends);
    fixture_until(member_sleeps(&putter));
    member_dies(&putter);
    ck_assert_int_eq(take(stage->queue), -1);
    struct member getter = member_start(gets_and_ends);
    fixture_until(member_sleeps(&getter));
    member_dies(&getter);
    weft_value value = value_of(SMALL_BLOCK, 1);
    ck_fails(weft_queue_put(stage->queue, value, WEFT_NOW), EAGAIN);
    weft_drop(value);
    nothing_left();
}
END_TEST

/* Both ways: the put comes before the burial, or after it. */
START_TEST(a_reader_killed_while_it_waits_keeps_no_value)
{
    for (int late = 0; late < 2; late++) {
        struct member first = member_start(gets_and_ends);
        fixture_until(member_sleeps(&first));
        struct member second = member_start(gets_and_ends);
        fixture_until(member_sleeps(&second));
        member_kill(&first);
        if (!late)
            member_bury(&first);
        ck_assert_int_eq(weft_queue_put(stage->queue, value_of(SMALL_BLOCK, 50 + late), WEFT_FOREVER), 0);
        if (late)
            member_bury(&first);
        member_ends(&second);
        ck_assert_int_eq(stage->got, 50 + late);
    }
    nothing_left();
}
END_TEST

START_TEST(what_came_back_is_counted_when_it_is_dropped)
{
    struct member getter = member_start(gets_and_ends);
    fixture_until(member_sleeps(&getter));
    member_kill(&getter);
    ck_assert_int_eq(weft_queue_put(stage->queue, value_of(SMALL_BLOCK, 3), WEFT_NOW), 0);
    member_bury(&getter);
    ck_assert_uint_eq(weft_queue_size(stage->queue), 0);
    ck_assert_uint_eq(weft_queue_close_now(stage->queue), 1);
    nothing_left();
}
END_TEST

START_TEST(a_forked_child_has_no_part_in_it)
{
    pid_t child = fork();
    if (child == 0) {
        weft_value got;
        bool well = weft_queue_put(stage->queue, weft_int(1), WEFT_FOREVER) == -1 && errno == ESTALE;
        well = well && weft_queue_get(stage->queue, &got, WEFT_NOW) == -1 && errno == ESTALE;
        wefti_leave(well ? 0 : 1);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}
END_TEST

#ifdef WEFTI_SMALL
START_TEST(a_getter_without_memory_leaves_it_to_the_next)
{
    weft_value got;
    static const uint32_t sizes[] = {10, SMALL_BLOCK, LARGE_BLOCK};
    for (int i = 0; i < 3; i++) {
        weft_task *task = weft_spawn(WEFT_THREAD, gives, value_of(sizes[i], 8));
        UNTIL_WAITING(1);
        weft_small_fail_after(1);
        ck_fails(weft_queue_get(stage->queue, &got, WEFT_NOW), ENOMEM);
        weft_small_fail_after(0);
        ck_assert_int_eq(weft_queue_get(stage->queue, &got, WEFT_FOREVER), 0);
        ck_assert_uint_eq(weft_length(got), sizes[i]);
        weft_drop(got);
        ck_assert_int_eq(number_of(ended(task)), 0);
    }
    nothing_left();
}
END_TEST
#endif

/* Every instruction as the last one. The partner is stopped, so that he waits whatever the others do: as dead as he is told to be. */

static struct member partner;
static int (*partner_does)(void);

static void partner_waits(void)
{
    int status;
    stage->begun = stage->returned = 0;
    partner = member_start(partner_does);
    fixture_until(member_sleeps(&partner));
    ck_assert_int_eq(kill(partner.pid, SIGSTOP), 0);
    ck_assert_int_eq(waitpid(partner.pid, &status, WUNTRACED), partner.pid);
}

static bool partner_was_met(void)
{
    for (const struct wefti_life *life = wefti_family_get()->seats[partner.seat].lives; life; life = life->next)
        if (wefti_meet_state(wefti_meet_look(life)) == WEFTI_MEET_DONE)
            return true;
    return false;
}

static void takes_stepped(void)
{
    weft_value got;
    step_must(wefti_context_life(wefti_context_current()));
    step_begin();
    stage->begun = 1;
    step_must(weft_queue_get(stage->queue, &got, WEFT_NOW) == 0);
    stage->returned = 1;
    step_end();
    step_must(number_of(got) == 1);
}

/* The value is the putter's yet, or was taken, or is the next to be taken. */
static void taken_once(void)
{
    int found = 0;
    if (partner_was_met()) {
        found = take(stage->queue);
        ck_assert(found == 1 || (found == -1 && stage->begun));
        ck_assert(found == -1 || !stage->returned);
    } else
        ck_assert_uint_eq(stage->returned, 0);
    member_bury(&partner);
    ck_assert_int_eq(take(stage->queue), -1);
    nothing_left();
}

static void gives_stepped(void)
{
    weft_value value = value_of(stage->size, 1);
    step_must(wefti_context_life(wefti_context_current()));
    step_begin();
    step_must(weft_queue_put(stage->queue, value, WEFT_NOW) == 0);
    stage->returned = 1;
    step_end();
}

/* The getter has it, or there is none; should he die over it, the next gets it. */
static void given_once(void)
{
    bool met = partner_was_met();
    ck_assert(met || !stage->returned);
    ck_assert_int_eq(take(stage->queue), -1);
    member_bury(&partner);
    ck_assert_int_eq(take(stage->queue), met ? 1 : -1);
    ck_assert_int_eq(take(stage->queue), -1);
    nothing_left();
}

static void steps_of(int (*waits)(void), void (*body)(void), void (*check)(void), uint32_t size)
{
    STEP_OR_SKIP;
    stage->size = size;
    partner_does = waits;
    struct step_plan plan = {
        .prepare = partner_waits, .body = body, .check = check, .stride = size ? 7 : 1, .mender_points = 250, .mender_stride = 331};
    unsigned deaths = step_through(&plan);
    ck_assert_uint_gt(deaths, 100);
    member_kill(&partner);
}

START_TEST(a_getter_may_die_at_any_instruction)
{
    steps_of(puts_and_ends, takes_stepped, taken_once, 0);
}
END_TEST

START_TEST(a_getter_of_a_block_may_die_at_any_instruction)
{
    steps_of(puts_and_ends, takes_stepped, taken_once, SMALL_BLOCK);
}
END_TEST

START_TEST(a_putter_may_die_at_any_instruction)
{
    steps_of(gets_and_ends, gives_stepped, given_once, 0);
}
END_TEST

START_TEST(a_putter_of_a_block_may_die_at_any_instruction)
{
    steps_of(gets_and_ends, gives_stepped, given_once, SMALL_BLOCK);
}
END_TEST

static void nobody_waits(void)
{
}

/* A case that is ready once others have made their offers: so that nobody sleeps, which takes a look at the clock. */
static int later_looks;

static int later_ready(weft_case *one)
{
    (void)one;
    return later_looks++ > 0;
}

static bool later_enlist(weft_case *one, struct wefti_item *item)
{
    (void)one, (void)item;
    return true;
}

static void later_delist(weft_case *one)
{
    (void)one;
}

static const struct weft_waitable later = {.ready = later_ready, .enqueue = later_enlist, .dequeue = later_delist};

/* Offers are made and withdrawn. */
static void offers_stepped(void)
{
    weft_value value = value_of(stage->size, 1), got;
    weft_case cases[] = {
        weft_case_put(stage->queue, &value), weft_case_get(stage->other, &got), {.waitable = &later, .object = &later_looks}};
    step_must(wefti_context_life(wefti_context_current()));
    step_begin();
    step_must(weft_select(cases, 3, WEFT_FOREVER) == 2);
    step_end();
}

static void none_offered(void)
{
    ck_assert_int_eq(take(stage->queue), -1);
    ck_fails(weft_queue_put(stage->other, weft_none, WEFT_NOW), EAGAIN);
    nothing_left();
}

START_TEST(who_waits_may_die_at_any_instruction)
{
    STEP_OR_SKIP;
    stage->size = SMALL_BLOCK;
    struct step_plan plan = {.prepare = nobody_waits, .body = offers_stepped, .check = none_offered, .stride = 7};
    ck_assert_uint_gt(step_through(&plan), 200);
}
END_TEST

/* Whoever is stopped inside keeps others out, but holds up nobody beyond his deadline, nor who is done. */

static bool somebody_is_inside(void)
{
    struct wefti_shared_queue *queue = (struct wefti_shared_queue *)stage->queue;
    const struct wefti_gate *gate = wefti_queue_shared_kind(queue)->gate(queue, 0);
    return (__atomic_load_n(&gate->word, __ATOMIC_RELAXED) & ~(uint32_t)WEFTI_GATE_FLAGS) != 0;
}

static void looks_in_vain(void)
{
    weft_value got;
    step_must(wefti_context_life(wefti_context_current()));
    step_begin();
    step_must(weft_queue_get(stage->queue, &got, WEFT_NOW) == -1 && errno == EAGAIN);
    step_end();
}

START_TEST(who_is_stopped_inside_holds_up_nobody_past_his_deadline)
{
    STEP_OR_SKIP;
    weft_value got, value = value_of(SMALL_BLOCK, 1);
    weft_case cases[] = {weft_case_put(stage->queue, &value), weft_case_get(stage->queue, &got)};
    weft_task *task = weft_spawn(WEFT_THREAD, gets, weft_none);
    UNTIL_WAITING(1);
    struct member stopped = step_until(looks_in_vain, somebody_is_inside);
    ck_fails(weft_queue_put(stage->queue, value, WEFT_NOW), EAGAIN);
    ck_fails(weft_queue_put(stage->queue, value, weft_in(0.015)), ETIMEDOUT);
    ck_fails(weft_queue_get(stage->queue, &got, WEFT_NOW), EAGAIN);
    ck_fails(weft_queue_get(stage->queue, &got, weft_in(0.015)), ETIMEDOUT);
    ck_fails(weft_select(cases, 2, weft_in(0.015)), ETIMEDOUT);
    weft_task_cancel(task); /* his bid is there */
    ck_assert_int_eq(number_of(ended(task)), -ECANCELED);
    step_goes_on(&stopped);
    member_ends(&stopped);
    task = weft_spawn(WEFT_THREAD, gives, weft_keep(value));
    UNTIL_WAITING(1);
    stopped = step_until(looks_in_vain, somebody_is_inside);
    weft_task_cancel(task);
    ck_assert_int_eq(number_of(ended(task)), -ECANCELED);
    step_goes_on(&stopped);
    member_ends(&stopped);
    ck_assert_int_eq(take(stage->queue), -1);
    ck_fails(weft_queue_put(stage->queue, value, WEFT_NOW), EAGAIN);
    weft_drop(value);
    nothing_left();
}
END_TEST

/* Who waits here, and has not been woken yet. */
static bool somebody_was_met(void)
{
    for (const struct wefti_life *life = wefti_family_get()->seats[wefti_member].lives; life; life = life->next)
        if (wefti_meet_state(wefti_meet_look(life)) == WEFTI_MEET_DONE && __atomic_load_n(&life->waits_used, __ATOMIC_ACQUIRE) > 0)
            return true;
    return false;
}

/* The getter, who is told nothing, looks because it is cancelled, and finds that it has the value; whose putter goes on, or dies. */
static void given_while_stopped(unsigned instructions, bool dies)
{
    weft_task *task = weft_spawn(WEFT_THREAD, gets, weft_none);
    UNTIL_WAITING(1);
    struct member putter = step_until(gives_stepped, somebody_was_met);
    ck_assert(step_on(&putter, instructions));
    weft_task_cancel(task);
    weft_value got = ended(task);
    ck_assert_uint_eq(weft_length(got), stage->size);
    ck_assert_int_eq(number_of(got), 1);
    if (dies) {
        step_dies(&putter);
        member_bury(&putter);
    } else {
        step_goes_on(&putter);
        member_ends(&putter);
    }
    ck_assert_int_eq(take(stage->queue), -1);
    nothing_left();
}

START_TEST(who_has_been_given_a_value_has_it_though_its_putter_is_stopped)
{
    STEP_OR_SKIP;
    stage->size = SMALL_BLOCK;
    for (unsigned instructions = 0; instructions < 30; instructions += 1 + 2 * (FIXTURE_STRIDE > 1))
        given_while_stopped(instructions, instructions % 2);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, a_value_goes_from_one_to_the_other);
    tcase_add_test(tests, who_does_not_wait_needs_one_who_does);
    tcase_add_test(tests, who_came_first_is_first);
    tcase_add_test(tests, close_ends_the_wait_of_both);
    tcase_add_test(tests, a_select_offers_all_and_does_one);
    tcase_add_test(tests, two_selects_meet);
    tcase_add_test(tests, a_select_does_not_wait_for_both_kinds);
    tcase_add_test(tests, coroutines_meet);
    tcase_add_test(tests, processes_meet);
    tcase_add_test(tests, what_the_dead_offered_goes_with_them);
    tcase_add_test(tests, a_reader_killed_while_it_waits_keeps_no_value);
    tcase_add_test(tests, what_came_back_is_counted_when_it_is_dropped);
    tcase_add_test(tests, a_forked_child_has_no_part_in_it);
#ifdef WEFTI_SMALL
    tcase_add_test(tests, a_getter_without_memory_leaves_it_to_the_next);
#endif
    tcase_add_test(tests, a_getter_may_die_at_any_instruction);
    tcase_add_test(tests, a_getter_of_a_block_may_die_at_any_instruction);
    tcase_add_test(tests, a_putter_may_die_at_any_instruction);
    tcase_add_test(tests, a_putter_of_a_block_may_die_at_any_instruction);
    tcase_add_test(tests, who_waits_may_die_at_any_instruction);
    tcase_add_test(tests, who_is_stopped_inside_holds_up_nobody_past_his_deadline);
    tcase_add_test(tests, who_has_been_given_a_value_has_it_though_its_putter_is_stopped);
}

int main(void)
{
    return fixture_main("queue_meet", add);
}
