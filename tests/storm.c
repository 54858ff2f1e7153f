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
#include "shared/block.h"
#include "shared/life.h"

static const weft_time MOMENT = 2000000;  /* a pause may well take that long */
static const weft_time SLOW = 1000000000; /* the promise: nobody waits longer for what is to be put right after a death */
enum {
    WORKERS_MOST = 8,
    DEATHS = 200,
    KEEPER_EACH = 8,
    READY_EACH = 8,
    DEATHS_LEAST = 30,
    AIM_LOOKS = 20000,
    AIM_PAUSE = 1000,
    PATIENCE = 20,
    PAUSE = 500000 /* ns, between deaths */
};

static const double SHORT_SECONDS = 2.5;

/* In the arena. */
struct ground {
    uint32_t over, births;
    uint32_t inside[WORKERS_MOST], birth[WORKERS_MOST];
    uint64_t done[WORKERS_MOST]; /* by who had the place, all together */
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

void storm_went_on(void)
{
    __atomic_add_fetch(&ground->done[own_number], 1, __ATOMIC_RELAXED);
}

uint32_t storm_birth(unsigned number)
{
    return __atomic_load_n(&ground->birth[number], __ATOMIC_RELAXED);
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
    __atomic_store_n(&ground->birth[number], ++ground->births, __ATOMIC_RELAXED);
    storm_must(process && wefti_process_start(process) == 0);
    workers[number] = (struct worker){.process = process, .pidfd = (int)syscall(SYS_pidfd_open, process->pid, 0)};
    storm_must(workers[number].pidfd >= 0 || process->state == WEFTI_PROCESS_ENDED);
}

/* Its status, once it has been put right. */
static int worker_end(unsigned number)
{
    int status = -1;
    storm_must(wefti_process_wait(workers[number].process, &status, weft_in(PATIENCE)) == 0);
    wefti_process_let_go(workers[number].process);
    if (workers[number].pidfd >= 0)
        close(workers[number].pidfd);
    workers[number].process = NULL;
    return status;
}

void storm_ends(unsigned number)
{
    if (workers[number].process)
        storm_must(worker_end(number) == 0);
}

static void pause_for(uint64_t nanoseconds)
{
    nanosleep(&(struct timespec){.tv_nsec = (long)nanoseconds}, NULL);
}

/* Blocks. */

static uint64_t lives_count(void)
{
    uint64_t count = 0;
    const struct wefti_family *family = wefti_family_get();
    storm_must(family);
    for (uint32_t i = 0; i < WEFTI_SEATS; i++)
        for (const struct wefti_life *life = family->seats[i].lives; life; life = life->next) {
            count++;
            for (const struct wefti_life_more *more = life->more; more; more = more->next)
                count++;
        }
    return count;
}

uint64_t storm_blocks(void)
{
    struct wefti_blocks_census census;
    uint64_t lives = lives_count();
    wefti_blocks_count(&census);
    storm_must(census.wrong == 0);
    return census.committed - lives;
}

void storm_blocks_are(uint64_t blocks)
{
    struct wefti_blocks_census census;
    for (weft_time late = weft_in(10); storm_blocks() != blocks && weft_clock() < late;)
        pause_for(1000000); /* the supervisor has yet to let the last processes go */
    wefti_blocks_count(&census);
    uint64_t found = storm_blocks();
    if (found != blocks)
        fprintf(stderr, "storm: %lld blocks more than there were\n", (long long)(found - blocks));
    storm_must(found == blocks && census.in_hand == 0 && census.chunks_taken == 0);
}

/* Keepers. */

static uint32_t keeper_life(unsigned number)
{
    return __atomic_load_n((uint32_t *)&wefti_family_now()->keepers[number].life.__data.__lock, __ATOMIC_ACQUIRE);
}

/* Two live, and one of them takes requests. */
bool storm_keepers_whole(void)
{
    uint32_t supervisor = (uint32_t)__atomic_load_n(&wefti_family_now()->supervisor, __ATOMIC_ACQUIRE);
    if ((keeper_life(0) & FUTEX_TID_MASK) != supervisor && (keeper_life(1) & FUTEX_TID_MASK) != supervisor)
        return false;
    for (unsigned i = 0; i < WEFTI_KEEPERS; i++)
        if (!(keeper_life(i) & FUTEX_TID_MASK) || (keeper_life(i) & FUTEX_OWNER_DIED))
            return false;
    return true;
}

void storm_keeper_kill(bool spare)
{
    uint32_t supervisor = (uint32_t)__atomic_load_n(&wefti_family_now()->supervisor, __ATOMIC_ACQUIRE);
    unsigned serving = (keeper_life(0) & FUTEX_TID_MASK) == supervisor ? 0 : 1, number = spare ? 1 - serving : serving;
    uint32_t life = keeper_life(number);
    kill((pid_t)(life & FUTEX_TID_MASK), SIGKILL);
    for (weft_time late = weft_in(PATIENCE); (keeper_life(number) & (FUTEX_TID_MASK | FUTEX_OWNER_DIED)) == (life & FUTEX_TID_MASK);)
        storm_must(weft_clock() < late);
}

/* The count. */

weft_time storm_pause(void)
{
    weft_time begun = weft_clock();
    pause_for(20000);
    weft_time took = weft_clock() - begun;
    return took < MOMENT ? took : MOMENT;
}

void storm_tally_add(struct storm_tally *tally, weft_time standstill)
{
    tally->deaths++;
    tally->worst = standstill > tally->worst ? standstill : tally->worst;
    tally->slow += standstill > SLOW;
}

void storm_tally_tell(const struct storm_tally *tally, const char *name, uint64_t seed)
{
    printf("storm %s: seed %llu, %u deaths (%u of keepers, %u of workers inside), standstills of %.1f ms at most\n", name,
        (unsigned long long)seed, tally->deaths, tally->keepers, tally->inside, (double)tally->worst / 1e6);
    fflush(stdout);
    storm_must(tally->slow <= 1 + tally->deaths / 100);
}

/* The storm. */

static bool worker_sleeps(unsigned number)
{
    const struct wefti_seat *seat = &wefti_family_now()->seats[workers[number].process->seat];
    const struct wefti_life *life = __atomic_load_n(&seat->lives, __ATOMIC_ACQUIRE);
    while (life && __atomic_load_n(&life->waits_used, __ATOMIC_RELAXED) == 0)
        life = life->next;
    return life != NULL;
}

/* Waits until the worker is at work inside a section, for a while: it may be that another has its processor. */
static void aim(unsigned number)
{
    bool anywhere = storm_random() % 8 == 0;
    for (int i = 0; i < AIM_LOOKS && !anywhere && (!__atomic_load_n(&ground->inside[number], __ATOMIC_ACQUIRE) || worker_sleeps(number));
         i++)
        if (i % AIM_PAUSE == AIM_PAUSE - 1)
            pause_for(50000);
    for (volatile uint64_t i = storm_random() % 100; i > 0; i--) /* anywhere in it */
        ;
}

static bool enough(void)
{
    return plan->enough && plan->enough();
}

static void worker_doomed(unsigned number)
{
    if (plan->doomed)
        plan->doomed(number);
}

/* It was killed, and has been put right. */
static void worker_bury(unsigned number)
{
    int status = worker_end(number);
    storm_must((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) || (status == 0 && enough()));
}

/* Whoever stands by for the next request: if it comes before he is gone, he dies with it. */
static void ready_kill(void)
{
    const struct wefti_seat *seats = wefti_family_now()->seats;
    for (unsigned i = WEFTI_SEAT_FIRST; i < WEFTI_SEAT_FIRST + 2 * WORKERS_MOST && i < WEFTI_SEATS; i++) {
        pid_t pid = __atomic_load_n(&seats[i].state, __ATOMIC_ACQUIRE) == WEFTI_SEAT_READY ? seats[i].pid : 0;
        if (pid > 1) /* its number, as nobody but this process asks for it, and who died by himself is reaped only after that is said */
            kill(pid, SIGKILL);
    }
}

static void worker_replace(unsigned number)
{
    if (plan->buried)
        plan->buried(number);
    if (storm_random() % READY_EACH == 0)
        ready_kill();
    worker_start(number);
}

static void worker_kill(unsigned number, struct storm_tally *tally)
{
    worker_doomed(number);
    aim(number);
    syscall(SYS_pidfd_send_signal, workers[number].pidfd, SIGKILL, NULL, 0);
    worker_bury(number);
    tally->inside += ground->inside[number] != 0;
    worker_replace(number);
}

/* The spare, or the supervisor, with which all that it had forked dies; never both at once. */
static void keeper_kill(struct storm_tally *tally)
{
    bool spare = storm_random() % 2;
    tally->keepers++;
    for (unsigned i = 0; !spare && i < plan->workers; i++)
        worker_doomed(i);
    storm_keeper_kill(spare);
    for (unsigned i = 0; !spare && i < plan->workers; i++)
        worker_bury(i);
    for (unsigned i = 0; !spare && i < plan->workers; i++)
        worker_replace(i);
}

/* How many workers have done something since. */
static unsigned went_on(const uint64_t *then)
{
    unsigned count = 0;
    for (unsigned i = 0; i < plan->workers; i++)
        count += __atomic_load_n(&ground->done[i], __ATOMIC_RELAXED) != then[i];
    return count;
}

/* Of one that took too long: where the time went. */
static void slow_tell(bool keeper, unsigned number, weft_time buried, weft_time all, const uint64_t *then)
{
    fprintf(stderr, "storm %s: %.1f ms after the death of %s %u, which took %.1f ms to be replaced;", plan->name, (double)all / 1e6,
        keeper ? "a keeper, not of worker" : "worker", number, (double)buried / 1e6);
    for (unsigned i = 0; i < plan->workers; i++)
        fprintf(stderr, " %llu", (unsigned long long)(__atomic_load_n(&ground->done[i], __ATOMIC_RELAXED) - then[i]));
    fprintf(stderr, " done since then\n");
}

/* Somebody dies, and all go on. */
static void death(struct storm_tally *tally)
{
    uint64_t then[WORKERS_MOST];
    bool keeper = storm_random() % KEEPER_EACH == 0;
    unsigned number = (unsigned)(storm_random() % plan->workers), least = plan->one_suffices ? 1 : plan->workers;
    for (weft_time late = weft_in(PATIENCE); keeper && !storm_keepers_whole(); pause_for(200000))
        storm_must(weft_clock() < late);
    weft_time begun = weft_clock();
    if (keeper)
        keeper_kill(tally);
    else
        worker_kill(number, tally);
    weft_time buried = weft_clock() - begun, all = buried;
    for (unsigned i = 0; i < plan->workers; i++)
        then[i] = __atomic_load_n(&ground->done[i], __ATOMIC_RELAXED);
    for (; went_on(then) < least && !enough(); all += storm_pause())
        storm_must(all < PATIENCE * SLOW);
    storm_tally_add(tally, all);
    if (all > SLOW)
        slow_tell(keeper, number, buried, all, then);
}

static bool storm_ends_now(const struct storm_tally *tally, double seconds, weft_time end)
{
    bool late = weft_clock() >= end;
    return enough() || (seconds > 0 ? late : tally->deaths >= DEATHS || (late && tally->deaths >= DEATHS_LEAST));
}

static double storm_seconds(void)
{
    const char *given = getenv("WEFT_STORM_SECONDS");
    return (given ? atof(given) : 0) / (plan->share ? plan->share : 1);
}

static void storm_root(uint64_t seed)
{
    struct storm_tally tally = {0};
    double seconds = plan->seconds > 0 ? plan->seconds : storm_seconds();
    state = seed;
    storm_must((weft_shared_limit((size_t)1 << 30) == 0 || errno == EBUSY) && (ground = weft_shared_new(struct ground)));
    plan->prepare();
    storm_must(wefti_family_begin() == 0); /* workers are copies of what the root is now */
    for (unsigned i = 0; i < plan->workers; i++)
        worker_start(i);
    for (weft_time end = weft_in(seconds > 0 ? seconds : SHORT_SECONDS); !storm_ends_now(&tally, seconds, end);) {
        pause_for(storm_random() % PAUSE);
        death(&tally);
    }
    __atomic_store_n(&ground->over, 1, __ATOMIC_RELEASE);
    if (plan->finish)
        plan->finish();
    for (unsigned i = 0; i < plan->workers; i++)
        storm_ends(i);
    plan->check();
    storm_tally_tell(&tally, plan->name, seed);
    storm_must(tally.inside * 100 >= plan->inside_least * (tally.deaths - tally.keepers));
}

static void storm_once(uint64_t seed)
{
    pid_t root = fork();
    ck_assert_int_ge(root, 0);
    if (root == 0) {
        storm_root(seed);
        wefti_leave(0);
    }
    int status = -1;
    ck_assert_int_eq(waitpid(root, &status, 0), root);
    ck_assert_msg(status == 0, "seed %llu: status %x", (unsigned long long)seed, status);
}

void storm_run(const struct storm_plan *what)
{
    const char *given = getenv("WEFT_STORM_SEED");
    uint64_t seed = given ? (uint64_t)strtoull(given, NULL, 0) : (uint64_t)weft_clock() * UINT64_C(2654435761) ^ (uint64_t)getpid();
    plan = what;
    weft_time end = weft_in(storm_seconds());
    do
        storm_once(seed | 1);
    while (seed += 2, plan->seconds > 0 && weft_clock() < end);
}
