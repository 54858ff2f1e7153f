/* SPDX-License-Identifier: MIT */
/* The child is traced: it stops itself where the section begins, and says by a word of shared memory where it ends. */
#include "step.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/leave.h"
#include "shared/block.h"
#include "shared/life.h"

enum { UNWORTHY = 500 }; /* of the instructions that do not matter, each so manieth does */

static volatile int *section_ended; /* shared with the members */
static char *kept;                  /* a snapshot's room, used before: it need not be faulted in again */

/* Members. */

static uint32_t seat_take(void)
{
    struct wefti_family *family = wefti_family_get();
    ck_assert_ptr_nonnull(family);
    for (uint32_t i = WEFTI_SEAT_FIRST; i < WEFTI_SEATS; i++)
        if (__atomic_load_n(&family->seats[i].state, __ATOMIC_ACQUIRE) == WEFTI_SEAT_EMPTY) {
            __atomic_store_n(&family->seats[i].state, WEFTI_SEAT_TAKEN, __ATOMIC_RELEASE);
            return i;
        }
    ck_abort_msg("no seat");
}

struct member member_start(int (*work)(void))
{
    struct member member = {.seat = seat_take()};
    pid_t parent = getpid();
    member.pid = fork();
    ck_assert_int_ge(member.pid, 0);
    if (member.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            wefti_leave(1);
        wefti_member = (uint16_t)member.seat;
        fixture_leave(work());
    }
    return member;
}

void member_bury(struct member *member)
{
    struct wefti_family *family = wefti_family_get();
    __atomic_store_n(&family->seats[member->seat].state, WEFTI_SEAT_GONE, __ATOMIC_RELEASE);
    wefti_seat_mend(family, member->seat, NULL, NULL);
    __atomic_store_n(&family->seats[member->seat].state, WEFTI_SEAT_EMPTY, __ATOMIC_RELEASE);
}

void member_ends(struct member *member)
{
    int status = -1;
    ck_assert_int_eq(waitpid(member->pid, &status, 0), member->pid);
    ck_assert_msg(status == 0, "a member ended with %x", status);
    member_bury(member);
}

void member_kill(struct member *member)
{
    int status;
    ck_assert_int_eq(kill(member->pid, SIGKILL), 0);
    do
        ck_assert_int_eq(waitpid(member->pid, &status, 0), member->pid);
    while (!WIFSIGNALED(status) && !WIFEXITED(status));
    ck_assert_msg(WIFSIGNALED(status), "a member ended by itself, with %x", status);
}

void member_dies(struct member *member)
{
    member_kill(member);
    member_bury(member);
}

bool member_sleeps(const struct member *member)
{
    const struct wefti_life *life = __atomic_load_n(&wefti_family_get()->seats[member->seat].lives, __ATOMIC_ACQUIRE);
    while (life && __atomic_load_n(&life->waits_used, __ATOMIC_ACQUIRE) == 0)
        life = life->next;
    return life != NULL;
}

/* Stepping. */

bool step_possible(void)
{
    return !fixture_copies() && !FIXTURE_TSAN;
}

void step_begin(void)
{
    kill(getpid(), SIGSTOP);
}

void step_end(void)
{
    *section_ended = 1;
}

static void section_map(void)
{
    section_ended = mmap(NULL, sizeof(*section_ended), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

static void section_unmap(void)
{
    free(kept);
    kept = NULL;
    munmap((void *)section_ended, sizeof(*section_ended));
}

void step_must(bool condition)
{
    if (!condition)
        wefti_leave(99);
}

static void (*stepped_body)(void);

static int stepped_work(void)
{
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    stepped_body();
    return 0;
}

/* A member that is stopped where the section of `body` begins. */
static struct member stepped_start(void (*body)(void))
{
    int status;
    *section_ended = 0;
    stepped_body = body;
    struct member member = member_start(stepped_work);
    ck_assert_int_eq(waitpid(member.pid, &status, 0), member.pid);
    ck_assert_msg(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP, "the body came to no section: %x", status);
    return member;
}

/* Lets it go on for `count` instructions. False when the section has ended before. */
static bool stepped_go(const struct member *member, unsigned count)
{
    int status;
    for (unsigned i = 0; i < count; i++) {
        ck_assert_int_eq(ptrace(PTRACE_SINGLESTEP, member->pid, NULL, NULL), 0);
        ck_assert_int_eq(waitpid(member->pid, &status, 0), member->pid);
        ck_assert_msg(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP, "stepped into %x", status);
        if (*section_ended)
            return false;
    }
    return true;
}

/* What the arena holds, so that it can be put back. */
struct snapshot {
    char *octets;
    size_t size;
};

static struct snapshot snapshot_take(void)
{
    const struct wefti_arena *arena = wefti_arena_now();
    struct snapshot snapshot = {.size = (size_t)__atomic_load_n(&arena->used, __ATOMIC_ACQUIRE) << WEFTI_CHUNK_BITS};
    snapshot.octets = kept ? kept : malloc(wefti_arena_size);
    kept = NULL;
    ck_assert_ptr_nonnull(snapshot.octets);
    memcpy(snapshot.octets, arena, snapshot.size);
    return snapshot;
}

static void snapshot_back(struct snapshot *snapshot)
{
    memcpy(wefti_arena_now(), snapshot->octets, snapshot->size);
    free(kept);
    kept = snapshot->octets;
}

static const struct step_plan *plan_now;
static struct member *dead_now[2]; /* in the order in which they died */

static int buries_and_checks(void)
{
    if (plan_now->meanwhile)
        plan_now->meanwhile();
    for (int i = 0; i < 2 && dead_now[i]; i++)
        member_bury(dead_now[i]);
    plan_now->check();
    return 0;
}

/* What a survivor finds if these are dead now. He is a process of his own, so that all he does is undone with the arena. */
static void survive(struct member *first, struct member *second, unsigned instructions)
{
    int status = -1;
    dead_now[0] = first;
    dead_now[1] = second;
    struct snapshot snapshot = snapshot_take();
    struct member survivor = member_start(buries_and_checks);
    ck_assert_int_eq(waitpid(survivor.pid, &status, 0), survivor.pid);
    ck_assert_msg(status == 0, "a death after %u instructions: %x", instructions, status);
    snapshot_back(&snapshot);
    wefti_family_get()->seats[survivor.seat].state = WEFTI_SEAT_EMPTY;
}

static struct member *to_mend;

static void mends(void)
{
    struct wefti_family *family = wefti_family_get();
    step_begin();
    wefti_seat_mend(family, to_mend->seat, NULL, NULL);
    step_end();
}

/* Whoever puts right what the dead left dies too, at each of his first instructions. How many deaths. */
static unsigned menders_die(struct member *dead, unsigned instructions)
{
    unsigned deaths = 0;
    to_mend = dead;
    struct snapshot snapshot = snapshot_take();
    struct member mender = stepped_start(mends);
    for (unsigned i = 0; i < plan_now->mender_points && stepped_go(&mender, 1); i++)
        if (i % FIXTURE_STRIDE == 0) {
            survive(dead, &mender, instructions);
            deaths++;
        }
    member_kill(&mender);
    snapshot_back(&snapshot);
    wefti_family_get()->seats[mender.seat].state = WEFTI_SEAT_EMPTY;
    return deaths;
}

unsigned step_through(const struct step_plan *plan)
{
    unsigned deaths = 0, stride = (plan->stride ? plan->stride : 1) * FIXTURE_STRIDE;
    plan_now = plan;
    section_map();
    plan->prepare();
    struct member stepped = stepped_start(plan->body);
    unsigned at = 0;
    do {
        if (plan->matters && at % (UNWORTHY * stride) != 0 && !plan->matters()) {
            at += stride;
            continue;
        }
        survive(&stepped, NULL, at);
        deaths++;
        if (plan->mender_points && at % (plan->mender_stride * stride) == 0)
            deaths += menders_die(&stepped, at);
        at += stride;
    } while (stepped_go(&stepped, stride));
    member_dies(&stepped);
    plan->check();
    section_unmap();
    return deaths * FIXTURE_STRIDE;
}

unsigned step_anew(const struct step_plan *plan)
{
    unsigned deaths = 0, stride = (plan->stride ? plan->stride : 1) * FIXTURE_STRIDE;
    section_map();
    for (bool inside = true; inside; deaths++) {
        plan->prepare();
        struct member stepped = stepped_start(plan->body);
        inside = stepped_go(&stepped, deaths * stride);
        member_kill(&stepped);
        if (plan->meanwhile)
            plan->meanwhile();
        member_bury(&stepped);
        plan->check();
    }
    section_unmap();
    return deaths * FIXTURE_STRIDE;
}

struct member step_until(void (*body)(void), bool (*there)(void))
{
    section_map();
    struct member member = stepped_start(body);
    while (!there())
        ck_assert_msg(stepped_go(&member, 1), "the body's section has ended before");
    return member;
}

bool step_on(const struct member *member, unsigned count)
{
    return stepped_go(member, count);
}

void step_goes_on(const struct member *member)
{
    ck_assert_int_eq(ptrace(PTRACE_DETACH, member->pid, NULL, NULL), 0);
    section_unmap();
}

void step_dies(struct member *member)
{
    member_kill(member);
    section_unmap();
}
