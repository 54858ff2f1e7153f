/* SPDX-License-Identifier: MIT */
/*
 * Two philosophers and two forks: each takes one fork and then wants the other's. That would be the end of it, had not one of them a
 * deadline: when it has passed he lays his fork down, and tries again later.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

static weft_lock left_fork, right_fork;
static weft_barrier together = WEFT_BARRIER(2);

static weft_value eat_in_a_hurry(weft_value unused)
{
    (void)unused;
    weft_lock_acquire(&left_fork, WEFT_FOREVER);
    weft_barrier_wait(&together, WEFT_FOREVER);
    while (weft_lock_acquire(&right_fork, weft_in(0.05)) != 0) {
        printf("Platon: %s, so I lay mine down\n", errno == ETIMEDOUT ? "the other fork does not come" : "something is wrong");
        weft_lock_release(&left_fork);
        weft_barrier_wait(&together, WEFT_FOREVER);
        weft_lock_acquire(&left_fork, WEFT_FOREVER);
    }
    printf("Platon: I have eaten\n");
    weft_lock_release(&right_fork);
    weft_lock_release(&left_fork);
    return weft_none;
}

static weft_value eat_in_peace(weft_value unused)
{
    (void)unused;
    weft_lock_acquire(&right_fork, WEFT_FOREVER);
    weft_barrier_wait(&together, WEFT_FOREVER);
    weft_lock_acquire(&left_fork, WEFT_FOREVER);
    printf("Sokrates: I have eaten\n");
    weft_lock_release(&left_fork);
    weft_lock_release(&right_fork);
    weft_barrier_wait(&together, WEFT_FOREVER);
    return weft_none;
}

int main(void)
{
    weft_task *platon = weft_spawn(WEFT_THREAD, eat_in_a_hurry, weft_none);
    weft_task *sokrates = weft_spawn(WEFT_THREAD, eat_in_peace, weft_none);
    if (!platon || !sokrates) {
        perror("weft_spawn");
        return EXIT_FAILURE;
    }
    weft_task_join(platon, WEFT_FOREVER);
    weft_task_join(sokrates, WEFT_FOREVER);
    weft_task_free(platon);
    weft_task_free(sokrates);
    return EXIT_SUCCESS;
}
