/* SPDX-License-Identifier: MIT */
/* Coroutines that are parked at places of their own, for tests of what shows them. Says "ready" and waits for the end of its standard
 * input. */
#include <stdio.h>
#include <weft.h>

static weft_event never;

__attribute__((noinline)) static int wait_for_ever(int depth)
{
    int waited = depth > 0 ? wait_for_ever(depth - 1) : weft_event_wait(&never, WEFT_FOREVER);
    __asm__ volatile("" ::: "memory"); /* no tail call */
    return waited;
}

__attribute__((noinline)) static int doze(void)
{
    int slept = weft_sleep(1000);
    __asm__ volatile("" ::: "memory");
    return slept;
}

static weft_value waiter_main(weft_value depth)
{
    return weft_int(wait_for_ever((int)weft_as_int(depth)));
}

static weft_value dozer_main(weft_value none)
{
    (void)none;
    return weft_int(doze());
}

int main(void)
{
    weft_task *tasks[2] = {weft_spawn(WEFT_COROUTINE, waiter_main, weft_int(3), .name = "Waiter", .daemon = true),
        weft_spawn(WEFT_COROUTINE, dozer_main, weft_none, .daemon = true)};
    weft_sleep(0.01);
    puts("ready");
    fflush(stdout);
    getchar();
    for (int i = 0; i < 2; i++) {
        weft_task_cancel(tasks[i]);
        weft_task_join(tasks[i], WEFT_FOREVER);
        weft_task_free(tasks[i]);
    }
    return 0;
}
