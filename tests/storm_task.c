/* SPDX-License-Identifier: MIT */
/*
 * A storm over process tasks: processes start tasks as processes, kill every other one, take the results and let go, and are killed
 * meanwhile, as is the supervisor. Nothing is left of any task: not its record, not that of its process, not its result.
 */
#include <string.h>

#include <weft/task.h>

#include "shared/life.h"
#include "storm.h"

enum { WORKERS = 4, LARGE = 40000 };

static uint64_t before;

/* Some results are blocks of their own, and large ones. */
static size_t result_size(int64_t number)
{
    return number % 3 == 0 ? LARGE : number % 3 == 1 ? 600 : 10;
}

static weft_value fills(weft_value number)
{
    char octets[LARGE];
    memset(octets, (int)weft_as_int(number), sizeof(octets));
    return weft_bytes(octets, result_size(weft_as_int(number)));
}

static void result_is(weft_value result, int64_t number)
{
    if (weft_kind(result) == WEFT_ERROR) /* killed, or its supervisor was */
        return;
    const char *octets = weft_as_bytes(result);
    size_t length = weft_length(result);
    storm_must(length == result_size(number) && octets[0] == (char)number && memcmp(octets, octets + 1, length - 1) == 0);
}

static void task_comes_and_goes(int64_t number)
{
    weft_value result = weft_none;
    weft_task *task = weft_spawn(WEFT_PROCESS, fills, weft_int(number));
    storm_must(task || errno == EAGAIN); /* there is no seat for one more */
    if (!task)
        return;
    if (storm_random() % 2)
        weft_task_kill(task);
    storm_must(weft_task_result(task, &result, WEFT_FOREVER) == 0);
    result_is(result, number);
    weft_drop(result);
    weft_task_free(task);
}

static void prepare(void)
{
    before = storm_blocks();
}

static void work(unsigned unused)
{
    (void)unused;
    for (int64_t number = 0; !storm_over(); number++) {
        storm_enter();
        task_comes_and_goes(number);
        storm_leave();
        storm_went_on();
    }
}

static void check(void)
{
    storm_blocks_are(before);
}

START_TEST(tasks_in_the_storm)
{
    STORM_OR_SKIP;
    storm_run(&(struct storm_plan){
        .name = "task", .workers = WORKERS, .prepare = prepare, .work = work, .check = check, .one_suffices = true, .inside_least = 50});
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, tasks_in_the_storm);
}

int main(void)
{
    return fixture_main("storm_task", add);
}
