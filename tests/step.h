/* SPDX-License-Identifier: MIT */
/*
 * Members of a family that die when a test says: at a moment, or after exactly so many instructions. The test buries them itself (as the
 * supervisor would), so that it decides when the sweep comes.
 *
 * A member is forked from the test's process, whose other threads it has not. A test that uses this has said weft_shared_limit before (4
 * MiB will do).
 */
#ifndef STEP_H
#define STEP_H

#include <sys/types.h>

#include "fixture.h"

struct member {
    pid_t pid;
    uint32_t seat;
};

/* Starts one that does `work`, whose return is its exit status. */
struct member member_start(int (*work)(void));
/* Waits for its end, which must be with status 0, and buries it. */
void member_ends(struct member *member);
/* SIGKILL; it is dead when this returns, and not buried: what it held is held. */
void member_kill(struct member *member);
/* Puts right what the dead member left, and lets another have its seat. */
void member_bury(struct member *member);
/* Both. */
void member_dies(struct member *member);
/* Whether one of its tasks sleeps on a word of the arena. */
bool member_sleeps(const struct member *member);

/*
 * Every instruction of a section as the last one. `prepare` makes everything ready, in the test's process; a member runs `body`, which says
 * where the section begins and ends; after each instruction of it others bury the member and `check` what they find.
 */
struct step_plan {
    void (*prepare)(void);
    void (*body)(void);
    void (*meanwhile)(void); /* when the member is dead, and not buried yet; NULL: nothing */
    void (*check)(void);     /* what it and the body tell each other lies in the arena */
    unsigned stride;         /* only each n-th instruction is a last one, times FIXTURE_STRIDE; 0: each */
    /* Whether an instruction that leaves the arena so is worth a death; NULL: each is. Of those that are not, each 500th is one all the
     * same. */
    bool (*matters)(void);
    unsigned mender_points; /* whoever buries the member dies too, at each of so many instructions: 0: does not */
    unsigned mender_stride; /* after each n-th death of the member */
};

/*
 * The member is stopped, not killed: what survivors do (each is a process of its own, where `check` runs) is undone after each instruction,
 * so that the section is walked through once. For bodies that have to do with nobody else, and do not look at the clock, which would seem
 * never to stand still long enough to be read. How many instructions that covered: the deaths, times FIXTURE_STRIDE.
 */
unsigned step_through(const struct step_plan *plan);
/*
 * The same with everything anew for each death: `prepare`, a member that runs the body and is killed after n instructions, its burial, and
 * `check`, in the test's process; so `prepare` may start others, and the body may sleep in the section if they wake it. Slow: the steps are
 * n * n / 2.
 */
unsigned step_anew(const struct step_plan *plan);
/* A member that runs `body` and is stopped inside its section: after the first instruction after which `there` holds. */
struct member step_until(void (*body)(void), bool (*there)(void));
/* Another `count` instructions of it. False when the section has ended before. */
bool step_on(const struct member *member, unsigned count);
/* It is stopped no more; member_ends waits for it. */
void step_goes_on(const struct member *member);
/* Or it is dead; member_bury puts right what it left. */
void step_dies(struct member *member);
/* Of the body. */
void step_begin(void);
void step_end(void);
/* Ends the member, and so fails the test, unless it is so. */
void step_must(bool condition);

/* Whether this build can be stepped: not under Valgrind and ThreadSanitizer. */
bool step_possible(void);
#define STEP_OR_SKIP      \
    if (!step_possible()) \
    fixture_skip("neither Valgrind nor what ThreadSanitizer adds can be stepped through")

#endif
