/* SPDX-License-Identifier: MIT */
/*
 * Roots of families. A family lives as long as its first process, so a test that begins one does so in a child, whose exit status says how
 * it went: 0, or the line of what did not hold. What the family leaves behind, the fixture finds.
 */
#ifndef FAMILY_ROOT_H
#define FAMILY_ROOT_H

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

#define MUST(condition)                        \
    do {                                       \
        if (!(condition))                      \
            fixture_leave(__LINE__ % 250 + 1); \
    } while (0)

#define NEEDS_PIDFDS      \
    if (fixture_copies()) \
    fixture_skip("Valgrind knows no pidfds")

static inline pid_t root_start(void (*root)(void))
{
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        if (weft_shared_limit(1 << 26) != 0)
            fixture_leave(251);
        root();
        fixture_leave(0);
    }
    return child;
}

static inline int root_status(pid_t child)
{
    int status = -1;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return status;
}

#define root_runs(root_)                                                                                    \
    do {                                                                                                    \
        int status_ = root_status(root_start(root_));                                                       \
        ck_assert_msg(status_ == 0, "line %d (mod 250), status %x", (status_ >> 8) - 1, (unsigned)status_); \
    } while (0)

/* Until something in shared memory holds that another process makes true; 20 seconds at most. */
static inline bool root_until(const uint32_t *word, uint32_t least)
{
    for (weft_time late = weft_in(20); __atomic_load_n(word, __ATOMIC_ACQUIRE) < least;)
        if (weft_sleep(0.001) != 0 || weft_clock() > late)
            return false;
    return true;
}

#endif
