/* SPDX-License-Identifier: MIT */
/* The record of a process task, and the block with its result: whoever lets go last may die at any instruction, and so may who mends
 * that. */
#include "family/claim.h"
#include "family/joined.h"
#include "fixture.h"
#include "shared/block.h"
#include "shared/life.h"
#include "step.h"
#include "task/process.h"

enum { LARGE = 40000 };

static struct told {
    struct wefti_task_record *record;
    char *result;
    uint64_t blocks;
} * told; /* in the arena */
static size_t result_size;

static weft_value nothing(weft_value value)
{
    return value;
}

static void prepare(void)
{
    ck_assert_ptr_nonnull(told = weft_shared_new(struct told));
}

static struct wefti_task_record *made(void)
{
    weft_task *task = weft_task_new(WEFT_PROCESS, nothing, weft_none);
    struct wefti_task_record *record = task ? wefti_task_record_make(task) : NULL;
    step_must(record);
    weft_task_free(task);
    record->held |= WEFTI_TASK_RUNNERS;
    __atomic_store_n(&told->record, record, __ATOMIC_RELEASE);
    return record;
}

/* As process_child.c does it. */
static void runner_finishes(struct wefti_task_record *record)
{
    record->length = result_size;
    char *result = wefti_block_take(result_size);
    __atomic_store_n(&record->result, result, __ATOMIC_RELEASE);
    __atomic_store_n(&told->result, result, __ATOMIC_RELEASE);
    wefti_block_commit(result, result_size);
    __atomic_store_n(&record->outcome, WEFT_DONE, __ATOMIC_RELEASE);
}

/* Its runner has let go before. */
static void maker_lets_go(void)
{
    struct wefti_task_record *record = made();
    runner_finishes(record);
    step_must(!wefti_held_leave(&record->held, wefti_held_ticket(&record->held), WEFTI_TASK_RUNNERS));
    step_begin();
    wefti_task_record_leave(record, true);
    step_end();
}

/* Its maker has let go before. */
static void runner_dies(void)
{
    struct wefti_task_record *record = made();
    step_must(wefti_hold_process(WEFTI_HOLD_TASK, record, wefti_task_record_detail(record, WEFTI_TASK_RUNNERS)) == 0);
    wefti_task_record_leave(record, false);
    step_begin();
    runner_finishes(record);
    step_end();
}

static void nothing_is_left(void)
{
    struct wefti_blocks_census census;
    step_must(!wefti_block_committed(told->record));
    step_must(!told->result || !wefti_block_committed(told->result));
    wefti_blocks_count(&census);
    step_must(census.wrong == 0 && census.in_hand == 0 && census.chunks_taken == 0);
}

static void steps(void (*body)(void), size_t size, unsigned least)
{
    STEP_OR_SKIP;
    ck_assert_int_eq(weft_shared_limit(1 << 22), 0);
    result_size = size;
    ck_assert_uint_ge(step_through(&(struct step_plan){
                          .prepare = prepare, .body = body, .check = nothing_is_left, .mender_points = 400, .mender_stride = 997}),
        least);
}

START_TEST(who_lets_go_last_may_die_at_any_instruction)
{
    steps(maker_lets_go, 600, 100);
}
END_TEST

START_TEST(so_with_a_large_result)
{
    steps(maker_lets_go, LARGE, 100);
}
END_TEST

START_TEST(who_runs_may_die_at_any_instruction_of_its_result)
{
    steps(runner_dies, 600, 50);
}
END_TEST

START_TEST(so_with_a_large_result_of_the_runner)
{
    steps(runner_dies, LARGE, 50);
}
END_TEST

/* One that asks for a process, up to the request. */
static void maker_asks(void)
{
    struct wefti_blocks_census census;
    weft_task *task = weft_task_new(WEFT_PROCESS, nothing, weft_none);
    struct wefti_task_record *record = made();
    wefti_task_record_leave(record, true); /* there are lives, and room for holdings */
    __atomic_store_n(&told->record, NULL, __ATOMIC_RELEASE);
    wefti_blocks_count(&census);
    __atomic_store_n(&told->blocks, census.committed, __ATOMIC_RELEASE);
    step_begin();
    record = wefti_task_record_make(task);
    wefti_task_record_give(record, wefti_process_new(wefti_task_child_main, record));
    step_end();
}

static void no_block_is_left(void)
{
    struct wefti_blocks_census census;
    wefti_blocks_count(&census);
    step_must(census.wrong == 0 && census.in_hand == 0 && census.committed == told->blocks);
}

START_TEST(who_asks_may_die_at_any_instruction)
{
    STEP_OR_SKIP;
    ck_assert_int_eq(weft_shared_limit(1 << 22), 0);
    ck_assert_uint_ge(
        step_through(&(struct step_plan){.prepare = prepare, .body = maker_asks, .check = no_block_is_left, .stride = 61}), 100);
}
END_TEST

/* Its maker is dead, and it died before it had done anything: at once, or before it could say that it runs. */
static struct wefti_process *process;
static enum wefti_process_state process_state;

static void prepare_dead(void)
{
    prepare();
    uint64_t ticket;
    struct wefti_task_record *record = told->record = made();
    ck_assert_ptr_nonnull(process = wefti_process_new(wefti_task_child_main, record));
    wefti_task_record_give(record, process);
    process->held |= WEFTI_PROCESS_SUPERVISORS;
    ticket = wefti_held_ticket(&process->held);
    ck_assert(wefti_claim_for_seat(wefti_family_now(), WEFTI_SEATS - 1, process, ticket));
    process->state = process_state;
    wefti_task_record_leave(record, false);
    wefti_process_release(process, ticket, WEFTI_PROCESS_MAKERS);
    wefti_unhold_process(WEFTI_HOLD_PROCESS, process);
}

/* As the supervisor does it, but for the rest of the sweep. */
static void dead_mend(void)
{
    struct wefti_holding *born = wefti_claim_born(wefti_family_now(), WEFTI_SEATS - 1);
    if (born)
        wefti_holding_mend((WEFTI_SEATS - 1) << WEFTI_LIFE_BITS, born);
    wefti_claim_end(wefti_family_now(), WEFTI_SEATS - 1, 0);
}

static void mender_steps(void)
{
    step_begin();
    dead_mend();
    step_end();
}

static void both_are_gone(void)
{
    dead_mend();
    step_must(!wefti_block_committed(told->record) && !wefti_block_committed(process));
}

START_TEST(who_ends_before_he_begins_leaves_nothing)
{
    STEP_OR_SKIP;
    ck_assert_int_eq(weft_shared_limit(1 << 22), 0);
    const struct step_plan plan = {.prepare = prepare_dead, .body = mender_steps, .check = both_are_gone, .stride = 7};
    for (process_state = WEFTI_PROCESS_NEW; process_state <= WEFTI_PROCESS_REFUSED; process_state++)
        ck_assert_uint_ge(step_through(&plan), 15);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, who_asks_may_die_at_any_instruction);
    tcase_add_test(tests, who_ends_before_he_begins_leaves_nothing);
    tcase_add_test(tests, who_lets_go_last_may_die_at_any_instruction);
    tcase_add_test(tests, so_with_a_large_result);
    tcase_add_test(tests, who_runs_may_die_at_any_instruction_of_its_result);
    tcase_add_test(tests, so_with_a_large_result_of_the_runner);
}

int main(void)
{
    return fixture_main("process_record", add);
}
