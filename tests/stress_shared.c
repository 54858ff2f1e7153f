/* SPDX-License-Identifier: MIT */
/*
 * Threads and processes that hand each other blocks of the arena through a few mailboxes, the processes being killed again and again.
 * Nobody gets a block that another has, nothing stays in the hands of the dead, and what is lost is at most what a process had between two
 * mailboxes when it was killed.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fixture.h"
#include "shared/block.h"

enum { BOXES = 64, THREADS = 4, PROCESSES = 3, MEMBERS = 1000 };
static const double SECONDS = 1.5;

struct post {
    unsigned char *boxes[BOXES];
    uint64_t exchanged;
    uint64_t spoilt;
};

static weft_time finish;

/* The first octets say how large it is, the last one how it was filled. */
static unsigned char *block_fill(size_t size, unsigned char mark)
{
    unsigned char *block = weft_shared_alloc(size);
    if (!block)
        return NULL;
    memcpy(block, &size, sizeof(size));
    memset(block + sizeof(size), mark, size - sizeof(size));
    return block;
}

static bool block_whole(const unsigned char *block)
{
    size_t size;
    memcpy(&size, block, sizeof(size));
    bool whole = size > sizeof(size) && wefti_block_size(block) >= size;
    for (size_t i = sizeof(size) + 1; whole && i < size; i += 1 + size / 64)
        whole = block[i] == block[sizeof(size)];
    return whole;
}

static void exchange(struct post *post, unsigned *seed)
{
    size_t size = rand_r(seed) % 50 == 0 ? 100000 : sizeof(size_t) + 1 + (size_t)rand_r(seed) % 600;
    unsigned char *mine = block_fill(size, (unsigned char)rand_r(seed));
    unsigned char *theirs = __atomic_exchange_n(&post->boxes[rand_r(seed) % BOXES], mine, __ATOMIC_ACQ_REL);
    if (theirs && (!block_whole(theirs) || weft_shared_free(theirs) != 0))
        __atomic_add_fetch(&post->spoilt, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&post->exchanged, 1, __ATOMIC_RELAXED);
}

static struct post *post_open(void)
{
    ck_assert_int_eq(weft_shared_limit(64 << 20), 0);
    struct post *post = weft_shared_new(struct post);
    ck_assert_ptr_nonnull(post);
    return post;
}

/* At the end: what lies in the boxes, and no more than `lost` besides. */
static void post_close(struct post *post, uint64_t lost)
{
    struct wefti_blocks_census census;
    ck_assert_uint_eq(post->spoilt, 0);
    for (int i = 0; i < BOXES; i++)
        ck_assert_int_eq(weft_shared_free(post->boxes[i]), 0);
    wefti_blocks_count(&census);
    ck_assert_uint_eq(census.wrong, 0);
    ck_assert_uint_eq(census.in_hand + census.chunks_taken, 0);
    ck_assert_uint_ge(census.committed, 1);
    ck_assert_uint_le(census.committed, 1 + lost);
    ck_assert_int_eq(weft_shared_free(post), 0);
}

static weft_value thread_works(weft_value arguments)
{
    struct post *post = weft_as_ptr(weft_list_at(arguments, 0));
    unsigned seed = (unsigned)weft_as_int(weft_list_at(arguments, 1));
    while (weft_clock() < finish)
        exchange(post, &seed);
    return weft_none;
}

START_TEST(threads_hand_blocks_around)
{
    struct post *post = post_open();
    weft_task *tasks[THREADS];
    finish = weft_in(SECONDS);
    for (int i = 0; i < THREADS; i++)
        ck_assert_ptr_nonnull(tasks[i] = weft_spawn(WEFT_THREAD, thread_works, weft_tuple((weft_value[]){weft_ptr(post), weft_int(i)}, 2)));
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(weft_task_join(tasks[i], WEFT_FOREVER), 0);
        weft_task_free(tasks[i]);
    }
    ck_assert_uint_gt(post->exchanged, 100);
    post_close(post, 0);
}
END_TEST

static pid_t process_start(struct post *post, uint16_t member)
{
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child > 0)
        return child;
    wefti_member = member;
    unsigned seed = member;
    for (;;)
        exchange(post, &seed);
}

static void process_kill(pid_t child, uint16_t member)
{
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    ck_assert_int_eq(waitpid(child, &(int){0}, 0), child);
    wefti_blocks_repair(member);
}

START_TEST(killed_processes_leave_nothing_in_hand)
{
    struct post *post = post_open();
    pid_t children[PROCESSES];
    uint16_t members[PROCESSES], next = 2;
    uint64_t kills = 0;
    unsigned seed = (unsigned)getpid();
    for (int i = 0; i < PROCESSES; i++)
        children[i] = process_start(post, members[i] = next++);
    for (finish = weft_in(SECONDS); weft_clock() < finish && next < MEMBERS; kills++) {
        int who = rand_r(&seed) % PROCESSES;
        nanosleep(&(struct timespec){.tv_nsec = rand_r(&seed) % 4000000}, NULL);
        process_kill(children[who], members[who]);
        children[who] = process_start(post, members[who] = next++);
    }
    for (int i = 0; i < PROCESSES; i++, kills++)
        process_kill(children[i], members[i]);
    ck_assert_uint_gt(kills, PROCESSES + 10);
    post_close(post, 2 * kills); /* what it had made, and what it had got */
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, threads_hand_blocks_around);
    tcase_add_test(tests, killed_processes_leave_nothing_in_hand);
}

int main(void)
{
    return fixture_main("stress_shared", add);
}
