/* SPDX-License-Identifier: MIT */
/*
 * The read-write lock under every order of its steps (model.h), on a gate that is made up too: the lock it is has a model of its own. In
 * each of them: one writer or many readers; nobody sleeps for ever; a reader that waits is passed by one writer at most; and at the end the
 * lock is as it was at first.
 */
#include "model.h"

#include "sync/inside.h"
#include "wait/wait.h"

static int gate_acquire(weft_lock *lock, weft_time deadline);
static int gate_release(weft_lock *lock);
static bool gate_is_mine(const weft_lock *lock);

#define weft_rwlock_acquire_read model_acquire_read
#define weft_rwlock_release_read model_release_read
#define weft_rwlock_acquire_write model_acquire_write
#define weft_rwlock_release_write model_release_write
#define weft_rwlock_downgrade model_downgrade
#define weft_rwlock_readers model_readers
#define weft_rwlock_written model_written
#define weft_lock_acquire gate_acquire
#define weft_lock_release gate_release
#define wefti_lock_mine gate_is_mine
#define weft_wait model_wait
#define weft_wake model_wake

int model_acquire_read(weft_rwlock *lock, weft_time deadline);
int model_release_read(weft_rwlock *lock);
int model_acquire_write(weft_rwlock *lock, weft_time deadline);
int model_release_write(weft_rwlock *lock);
int model_downgrade(weft_rwlock *lock);
uint32_t model_readers(const weft_rwlock *lock);
bool model_written(const weft_rwlock *lock);

#include "../src/sync/rwlock.c"

/* What a task does in each round. */
enum { READS, WRITES, DOWNGRADES };

static weft_rwlock model_lock;
static int readers, writers;

static void model_begin(void)
{
    memset(&model_lock, 0, sizeof(model_lock));
    readers = writers = 0;
}

/* The gate: `word` has its owner. One step takes it, one gives it back. */
static int gate_acquire(weft_lock *lock, weft_time deadline)
{
    for (;;) {
        uint32_t owner = 0;
        if (wefti_word_take(&lock->word, &owner, (uint32_t)now + 1))
            return 0;
        if (deadline <= WEFT_NOW) {
            errno = EAGAIN;
            return -1;
        }
        if (model_wait(&lock->word, owner, deadline) < 0)
            return -1;
    }
}

static int gate_release(weft_lock *lock)
{
    wefti_word_put(&lock->word, 0);
    model_wake(&lock->word, 1);
    return 0;
}

static bool gate_is_mine(const weft_lock *lock)
{
    return lock->word == (uint32_t)now + 1;
}

/* A reader that has begun to wait is passed by one writer at most: `ahead` is 0 while that counts. */
static void model_sleeps(const uint32_t *word)
{
    if (word == &model_lock.turn && tasks[now].ahead < 0) {
        tasks[now].ahead = 0;
        tasks[now].passed = 0;
    }
}

static void read_once(weft_time deadline)
{
    if (model_acquire_read(&model_lock, deadline) != 0) {
        model_need(deadline != WEFT_FOREVER && errno == ETIMEDOUT);
        return;
    }
    tasks[now].ahead = -1;
    readers++;
    model_need(writers == 0);
    model_step();
    readers--;
    model_need(model_release_read(&model_lock) == 0);
}

static void writer_comes(void)
{
    model_need(++writers == 1 && readers == 0);
    for (int i = 0; i < task_count; i++)
        model_need(tasks[i].ahead < 0 || ++tasks[i].passed <= 1);
}

static void write_once(weft_time deadline, bool downgrades)
{
    if (model_acquire_write(&model_lock, deadline) != 0) {
        model_need(deadline != WEFT_FOREVER && errno == (deadline <= WEFT_NOW ? EAGAIN : ETIMEDOUT));
        return;
    }
    writer_comes();
    model_step();
    writers--;
    if (!downgrades) {
        model_need(model_release_write(&model_lock) == 0);
        return;
    }
    readers++;
    model_need(model_downgrade(&model_lock) == 0);
    model_step();
    readers--;
    model_need(model_release_read(&model_lock) == 0);
}

static void model_task(int number)
{
    for (int i = 0; i < scenario.rounds[number]; i++) {
        weft_time deadline = scenario.timed[number] ? 1 : WEFT_FOREVER;
        if (scenario.roles[number] == READS)
            read_once(deadline);
        else
            write_once(deadline, scenario.roles[number] == DOWNGRADES);
        tasks[number].ahead = -1;
    }
}

static void model_end(void)
{
    model_need((model_lock.word & ~PHASE) == 0);
    model_need(model_lock.gate.word == 0);
}

START_TEST(a_writer_among_readers)
{
    scenario_walk((struct scenario){
        .name = "two readers, a writer", .tasks = 3, .preemptions = 4, .rounds = {1, 1, 2}, .roles = {READS, READS, WRITES}});
}
END_TEST

START_TEST(a_reader_among_writers)
{
    scenario_walk((struct scenario){
        .name = "a reader, two writers", .tasks = 3, .preemptions = 3, .rounds = {2, 2, 2}, .roles = {READS, WRITES, WRITES}});
}
END_TEST

START_TEST(two_of_each)
{
    scenario_walk((struct scenario){
        .name = "two readers, two writers", .tasks = 4, .preemptions = 2, .rounds = {1, 1, 1, 1}, .roles = {READS, READS, WRITES, WRITES}});
}
END_TEST

START_TEST(writers_read_on)
{
    scenario_walk((struct scenario){
        .name = "downgrades", .tasks = 3, .preemptions = 3, .rounds = {2, 1, 1}, .roles = {READS, DOWNGRADES, DOWNGRADES}});
}
END_TEST

START_TEST(readers_give_up)
{
    scenario_walk((struct scenario){.name = "readers give up",
        .tasks = 3,
        .preemptions = 2,
        .timeouts = 2,
        .rounds = {2, 1, 2},
        .timed = {true, true, false},
        .roles = {READS, READS, WRITES}});
}
END_TEST

/* So a second writer finds readers that waited for the first, and may give up too. */
START_TEST(both_give_up)
{
    scenario_walk((struct scenario){.name = "both give up",
        .tasks = 4,
        .preemptions = 1,
        .timeouts = 2,
        .rounds = {1, 1, 1, 1},
        .timed = {false, true, true, false},
        .roles = {READS, READS, WRITES, WRITES}});
}
END_TEST

START_TEST(strays_wake)
{
    scenario_walk((struct scenario){.name = "stray wakes",
        .tasks = 3,
        .preemptions = 2,
        .strays = 1,
        .timeouts = 1,
        .rounds = {2, 1, 1},
        .timed = {false, true, false},
        .roles = {READS, WRITES, WRITES}});
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_writer_among_readers);
    tcase_add_test(tests, a_reader_among_writers);
    tcase_add_test(tests, two_of_each);
    tcase_add_test(tests, writers_read_on);
    tcase_add_test(tests, readers_give_up);
    tcase_add_test(tests, both_give_up);
    tcase_add_test(tests, strays_wake);
}

int main(void)
{
    return fixture_main("rwlock model", add);
}
