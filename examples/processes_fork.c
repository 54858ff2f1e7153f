/* SPDX-License-Identifier: MIT */
/* A process is a task like any other: it has a pid of its own, and what it returns comes back. With WEFT_FORK it is a copy of the program
 * as it is now. The numbers are others each time, so they go to stderr. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <weft.h>

static int apples = 1;

static weft_value tell(weft_value parent)
{
    fprintf(stderr, "child: pid %d of parent %lld\n", (int)getpid(), (long long)weft_as_int(parent));
    printf("child: my pid is %s, I see %d apples\n", getpid() == weft_as_int(parent) ? "my parent's" : "my own", apples);
    return weft_int(getpid());
}

static void run(weft_task *task)
{
    weft_value pid = weft_none;
    if (!task || weft_task_result(task, &pid, WEFT_FOREVER) != 0) {
        perror("process");
        exit(EXIT_FAILURE);
    }
    fprintf(stderr, "parent: pid %d, and the child's was %lld\n", (int)getpid(), (long long)weft_as_int(pid));
    printf(
        "parent: %s, and I am another\n", weft_as_int(pid) == weft_task_native_id(task) ? "its handle has the same pid" : "who was that?");
    weft_task_free(task);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    run(weft_spawn(WEFT_PROCESS, tell, weft_int(getpid())));
    apples = 2;
    run(weft_spawn(WEFT_PROCESS, tell, weft_int(getpid())));
    run(weft_spawn(WEFT_PROCESS, tell, weft_int(getpid()), .method = WEFT_FORK));
    return EXIT_SUCCESS;
}
