/* SPDX-License-Identifier: MIT */
/*
 * Storms: processes of a family work on something shared, and one of them is killed at a moment of the storm's choosing, again and again; another takes its place.
 * Nobody may hang, and what is shared has to stay whole.
 *
 * A storm takes some 200 deaths. WEFT_STORM_SECONDS makes it last so long instead, WEFT_STORM_SEED repeats its choices (not what the machine makes of
 * them). It prints a line: the seed, how many died, how many of them inside a section, and the longest time from a death to its having been put right.
 */
#ifndef STORM_H
#define STORM_H

#include "fixture.h"

struct storm_plan {
    const char *name;
    unsigned workers; /* at most 8 */
    /* In the family's root, before the workers start: makes what is shared. */
    void (*prepare)(void);
    /* In a worker, which is process `number` of them: works until storm_over. */
    void (*work)(unsigned number);
    /* In the root, when all workers have ended by themselves: whether all is whole. */
    void (*check)(void);
    /* In the root, when a worker was killed and put right and before another takes its place; may be NULL. */
    void (*buried)(unsigned number);
    bool supervisors;      /* each 16th death is a supervisor's or a spare's; with a supervisor all workers die */
    unsigned inside_least; /* of 100 deaths so many at least are to fall inside a section */
};

/* Runs it, in a root of its own, and fails the test unless all held. */
void storm_run(const struct storm_plan *plan);

/* Of workers. */
bool storm_over(void);
/* Around what deaths are aimed at. */
void storm_enter(void);
void storm_leave(void);
/* A random number of the worker's own. */
uint64_t storm_random(void);
/* Ends the process and so fails the test, naming the place, unless it is so; in workers and the root. */
#define storm_must(condition) storm_must_at((condition), #condition, __FILE__, __LINE__)
void storm_must_at(bool condition, const char *text, const char *file, int line);

/*
 * Whether storms are possible here: not under Valgrind, which knows no pidfds, and not with ThreadSanitizer, in whose forks of forks a spare does not come to take over.
 */
#define STORM_OR_SKIP                             \
    if (fixture_copies())                         \
        fixture_skip("Valgrind knows no pidfds"); \
    if (FIXTURE_TSAN)                             \
    fixture_skip("with ThreadSanitizer no spare comes to take over")

#endif
