/* SPDX-License-Identifier: MIT */
/*
 * Storms: processes of a family work on something shared, and one of them is killed at a moment of the storm's choosing, again and again;
 * another takes its place. The family's supervisor, with whom all of them die, and its spare are among the dead, and so is whoever stands
 * by for a request, just before it comes. Nobody may hang, and what is shared has to stay whole.
 *
 * After each death the storm waits until those who live have got on. It fails when that takes 20 seconds, and when it takes more than one
 * second, which is the promise, more often than once and once in a hundred deaths.
 *
 * A storm takes 200 deaths, or two seconds and a half and 30 deaths. WEFT_STORM_SECONDS makes it last so long instead, WEFT_STORM_SEED
 * repeats its choices (not what the machine makes of them). It prints a line: the seed, how many died, how many of them inside a section,
 * and the longest standstill.
 */
#ifndef STORM_H
#define STORM_H

#include "fixture.h"

struct storm_plan {
    const char *name;
    unsigned workers; /* at most 8 */
    /* In the family's root, before the workers start: makes what is shared. */
    void (*prepare)(void);
    /* In a worker, which is process `number` of them: works until storm_over, saying storm_went_on. */
    void (*work)(unsigned number);
    /* In the root, when all workers have ended by themselves: whether all is whole. */
    void (*check)(void);
    /* In the root, may be NULL: the worker is about to be killed; it was, and was put right, and no other has its place yet. */
    void (*doomed)(unsigned number);
    void (*buried)(unsigned number);
    /* In the root, when it is over, may be NULL: sees to it that workers end that sleep. */
    void (*finish)(void);
    /* In the root, may be NULL: whether there is nothing more to be done, so that it may be over before its time. */
    bool (*enough)(void);
    bool one_suffices;     /* it goes on when one of the workers does; else each has to */
    unsigned inside_least; /* of 100 deaths of workers so many at least are to fall inside a section */
    double seconds;        /* so long at most, and with WEFT_STORM_SECONDS again and again; 0: see above */
    unsigned share;        /* it gets one part in so many of WEFT_STORM_SECONDS; 0: all */
};

/* Runs it, in a root of its own, and fails the test unless all held. */
void storm_run(const struct storm_plan *plan);

/* Of workers. */
bool storm_over(void);
/* Around what deaths are aimed at. */
void storm_enter(void);
void storm_leave(void);
/* Something has been done. */
void storm_went_on(void);
/* Which process has that place: another number than any before it. Of workers, and the root. */
uint32_t storm_birth(unsigned number);
/* Of the root: how many blocks there are in the arena, but for lives, which are never freed. */
uint64_t storm_blocks(void);
/* Of the root, in `check`: it comes to be so many soon, and nobody has one in hand. */
void storm_blocks_are(uint64_t blocks);
/* Of the root, in `finish`: waits for the end of a worker, which must be by itself. */
void storm_ends(unsigned number);
/* A random number of the worker's own. */
uint64_t storm_random(void);
/* Ends the process and so fails the test, naming the place, unless it is so; in workers and the root. */
#define storm_must(condition) storm_must_at((condition), #condition, __FILE__, __LINE__)
void storm_must_at(bool condition, const char *text, const char *file, int line);

/* What storms with a frame of their own have from this one, too. */

struct storm_tally {
    unsigned deaths, inside, keepers, slow;
    weft_time worst; /* standstill */
};

/* Whether the family has a supervisor and a spare, so that one of them can be killed. */
bool storm_keepers_whole(void);
/* Kills one of them, and comes back when the kernel has marked its death: before that another death might be the second of both. */
void storm_keeper_kill(bool spare);
/* Waits for a moment. How long that was; but on a machine that is so busy that this process was not let run, neither were the others: then
 * little. */
weft_time storm_pause(void);
/* A death, after which so long nobody got on. */
void storm_tally_add(struct storm_tally *tally, weft_time standstill);
/* Prints the line, and fails when there were too many standstills of more than a second. */
void storm_tally_tell(const struct storm_tally *tally, const char *name, uint64_t seed);

/* Whether storms are possible here. */
#define STORM_OR_SKIP     \
    if (fixture_copies()) \
    fixture_skip("Valgrind knows no pidfds")

#endif
