/* SPDX-License-Identifier: MIT */
/* See storm.h. The root is a child of the test, so that the fixture sees what is left of the family when it is gone. */
#include "storm.h"

#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/leave.h"
#include "family/family.h"

static const weft_time SLOW = 1000000000; /* the promise: nobody waits longer for what is to be put right after a death */
enum { WORKERS_MOST = 8, DEATHS = 200, SUPERVISOR_EACH = 16, AIM_LOOKS = 20000 };

/* In the arena. */
struct ground {
    uint32_t over;
    uint32_t inside[WORKERS_MOST];
};

/* Of the root, and copied into workers. */
static const struct storm_plan *plan;
static struct ground *ground;
static uint64_t state;
static unsigned own_number;

struct worker {
    struct wefti_process *process;
    int pidfd;
};
static struct worker workers[WORKERS_MOST];

void storm_must_at(bool condition, const char *text, const char *file, int line)
{
    if (condition)
        return;
    fprintf(stderr, "%s:%d: storm: not so: %s (errno %d)\n", file, line, text, errno);
    wefti_leave(1);
}

bool storm_over(void)
{
    return __atomic_load_n(&ground->over, __ATOMIC_ACQUIRE) != 0;
}

void storm_enter(void)
{
    __atomic_store_n(&ground->inside[own_number], 1, __ATOMIC_SEQ_CST);
}

void storm_leave(void)
{
    __atomic_store_n(&ground->inside[own_number], 0, __ATOMIC_SEQ_CST);
}

/* xorshift64, after G. Marsaglia. */
uint64_t storm_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static int worker_main(struct wefti_process *self)
{
    own_number = (unsigned)(uintptr_t)self->data & 0xff;
    state = (uint64_t)(uintptr_t)self->data * UINT64_C(0x9e3779b97f4a7c15) | 1;
    plan->work(own_number);
    return 0;
}

static void worker_start(unsigned number)
{
    uintptr_t told = (uintptr_t)storm_random() << 8 | number;
    struct wefti_process *process = wefti_process_new(worker_main, (void *)told); /* NOLINT: a number */
    ground->inside[number] = 0;
    storm_must(process && wefti_process_start(process) == 0);
    workers[number] = (struct worker){.process = process, .pidfd = (int)syscall(SYS_pidfd_open, process->pid, 0)};
    storm_must(workers[number].pidfd >= 0 || process->state == WEFTI_PROCESS_ENDED);
}

/* Its status, once it has been put right. */
static int worker_end(unsigned number)
{
    int status = -1;
    storm_must(wefti_process_wait(workers[number].process, &status, weft_in(20)) == 0);
    wefti_process_let_go(workers[number].process);
    if (workers[number].pidfd >= 0)
        close(workers[number].pidfd);
    workers[number].process = NULL;
    return status;
}

static uint32_t keeper_life(unsigned number)
{
    return __atomic_load_n((uint32_t *)&wefti_family_now()->keepers[number].life.__data.__lock, __ATOMIC_ACQUIRE);
}

/* Two live, and one of them takes requests. */
static bool keepers_whole(void)
{
    uint32_t supervisor = (uint32_t)__atomic_load_n(&wefti_family_now()->supervisor, __ATOMIC_ACQUIRE);
    if ((keeper_life(0) & FUTEX_TID_MASK) != supervisor && (keeper_life(1) & FUTEX_TID_MASK) != supervisor)
        return false;
    for (unsigned i = 0; i < WEFTI_KEEPERS; i++)
        if (!(keeper_life(i) & FUTEX_TID_MASK) || (keeper_life(i) & FUTEX_OWNER_DIED))
            return false;
    return true;
}

static void pause_for(uint64_t nanoseconds)
{
    nanosleep(&(struct timespec){.tv_nsec = (long)nanoseconds}, NULL);
}

/* Waits until the worker is inside a section, for a while; at each second time at any moment. */
static void aim(unsigned number)
{
    for (int i = 0; i < AIM_LOOKS && storm_random() % 4 && !__atomic_load_n(&ground->inside[number], __ATOMIC_ACQUIRE); i++)
        ;
    for (int i = 0; i < AIM_LOOKS && !__atomic_load_n(&ground->inside[number], __ATOMIC_ACQUIRE); i++)
        ;
    for (volatile uint64_t i = storm_random() % 400; i > 0; i--) /* anywhere in it */
        ;
}

struct tally {
    unsigned deaths, inside, supervisors, slow;
    weft_time worst;
};

static void worker_kill(unsigned number, struct tally *tally)
{
    aim(number);
    syscall(SYS_pidfd_send_signal, workers[number].pidfd, SIGKILL, NULL, 0);
    weft_time then = weft_clock();
    int status = worker_end(number);
    weft_time took = weft_clock() - then;
    storm_must(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    tally->deaths++;
    tally->inside += ground->inside[number] != 0;
    tally->worst = took > tally->worst ? took : tally->worst;
    tally->slow += took > SLOW;
    if (plan->buried)
        plan->buried(number);
    worker_start(number);
}

/* Kills a keeper, and comes back when the kernel has marked its death: before that another death might be the second of both. */
static void keeper_end(unsigned number)
{
    uint32_t life = keeper_life(number);
    kill((pid_t)(life & FUTEX_TID_MASK), SIGKILL);
    for (weft_time late = weft_in(20); (keeper_life(number) & (FUTEX_TID_MASK | FUTEX_OWNER_DIED)) == (life & FUTEX_TID_MASK);)
        storm_must(weft_clock() < late);
}

/* The spare, or the supervisor, with which all that it had forked dies; never both at once. */
static void keeper_kill(struct tally *tally)
{
    struct wefti_family *family = wefti_family_now();
    for (weft_time late = weft_in(20); !keepers_whole(); pause_for(200000))
        storm_must(weft_clock() < late);
    unsigned serving = (keeper_life(0) & FUTEX_TID_MASK) == (uint32_t)family->supervisor ? 0 : 1;
    bool spare = storm_random() % 2;
    tally->deaths++;
    tally->supervisors++;
    keeper_end(spare ? 1 - serving : serving);
    for (unsigned i = 0; !spare && i < plan->workers; i++) {
        worker_end(i);
        if (plan->buried)
            plan->buried(i);
    }
    for (unsigned i = 0; !spare && i < plan->workers; i++)
        worker_start(i);
}

static weft_time storm_end(void)
{
    const char *seconds = getenv("WEFT_STORM_SECONDS");
    return seconds && atof(seconds) > 0 ? weft_in(atof(seconds)) : WEFT_FOREVER;
}

static void storm_root(uint64_t seed)
{
    struct tally tally = {0};
    weft_time begun = weft_clock(), end = storm_end();
    state = seed;
    storm_must((weft_shared_limit((size_t)1 << 30) == 0 || errno == EBUSY) && (ground = weft_shared_new(struct ground)));
    plan->prepare();
    storm_must(wefti_family_begin() == 0); /* workers are copies of what the root is now */
    for (unsigned i = 0; i < plan->workers; i++)
        worker_start(i);
    while (end == WEFT_FOREVER ? tally.deaths < DEATHS : weft_clock() < end) {
        pause_for(storm_random() % 2000000);
        if (plan->supervisors && storm_random() % SUPERVISOR_EACH == 0)
            keeper_kill(&tally);
        else
            worker_kill((unsigned)(storm_random() % plan->workers), &tally);
    }
    __atomic_store_n(&ground->over, 1, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < plan->workers; i++)
        storm_must(worker_end(i) == 0);
    plan->check();
    printf("storm %s: seed %llu, %u deaths (%u of keepers, %u inside) in %.1f s, put right within %.1f ms\n", plan->name,
        (unsigned long long)seed, tally.deaths, tally.supervisors, tally.inside, (double)(weft_clock() - begun) / 1e9,
        (double)tally.worst / 1e6);
    fflush(stdout);
    storm_must(tally.slow <= 1 + tally.deaths / 100); /* on a busy machine it may be that nobody is let run */
    storm_must(tally.inside * 100 >= plan->inside_least * (tally.deaths - tally.supervisors));
}

void storm_run(const struct storm_plan *what)
{
    const char *given = getenv("WEFT_STORM_SEED");
    uint64_t seed = given ? (uint64_t)strtoull(given, NULL, 0) : (uint64_t)weft_clock() * UINT64_C(2654435761) ^ (uint64_t)getpid();
    plan = what;
    pid_t root = fork();
    ck_assert_int_ge(root, 0);
    if (root == 0) {
        storm_root(seed | 1);
        wefti_leave(0);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(root, &status, 0), root);
    ck_assert_msg(status == 0, "seed %llu: status %x", (unsigned long long)(seed | 1), status);
}
