/* SPDX-License-Identifier: MIT */
/* Five tasks of random length on four processes: four begin at once, the fifth when the first of them ends, in the process that has become
 * free. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <weft.h>

enum { TASKS = 5, PROCESSES = 4 };

struct board {
    uint32_t running, ended;
    uint32_t before[TASKS]; /* how many had ended when the task began */
    pid_t process[TASKS];
};

static struct board *board; /* in shared memory; where that is, the processes know as it was before they were made */

static weft_value work(weft_value number)
{
    int64_t i = weft_as_int(number);
    board->process[i] = getpid();
    board->before[i] = __atomic_load_n(&board->ended, __ATOMIC_ACQUIRE);
    uint32_t running = __atomic_add_fetch(&board->running, 1, __ATOMIC_ACQ_REL);
    while (running < PROCESSES && __atomic_load_n(&board->running, __ATOMIC_ACQUIRE) < PROCESSES) /* until all four are there */
        weft_sleep(0.001);
    weft_sleep(0.02 + (double)(getpid() * 7 % 11) / 100);
    __atomic_add_fetch(&board->ended, 1, __ATOMIC_ACQ_REL);
    return weft_none;
}

int main(void)
{
    board = weft_shared_new(struct board);
    weft_pool *pool = board ? weft_pool_new(WEFT_PROCESS, .workers = PROCESSES) : NULL;
    for (int i = 0; i < TASKS; i++)
        if (!pool || weft_pool_start(pool, work, weft_int(i)) != 0) {
            perror("pool");
            return EXIT_FAILURE;
        }
    weft_pool_free(pool); /* waits for what was handed to it */
    int at_once = 0, again = 0;
    for (int i = 0; i < TASKS; i++)
        at_once += board->before[i] == 0;
    for (int i = 0; i < TASKS - 1; i++)
        again += board->process[i] == board->process[TASKS - 1];
    printf("%d began before any had ended\n", at_once);
    printf("the fifth began when %s had\n", board->before[TASKS - 1] > 0 ? "one" : "none");
    printf("in a process that had done another: %s\n", again == 1 ? "yes" : "no");
    weft_shared_free(board);
    return EXIT_SUCCESS;
}
