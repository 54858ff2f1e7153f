/* SPDX-License-Identifier: MIT */
/*
 * Timers that call a function once or again and again, and one that a select waits for beside a signal: Ctrl-C ends the program, or the
 * time does.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <weft.h>

static weft_value press_control_c(weft_value none)
{
    (void)none;
    kill(getpid(), SIGINT); /* as the terminal would */
    return weft_none;
}

int main(void)
{
    weft_signals *signals = weft_signals_new(SIGINT, SIGTERM); /* before other threads are started */
    weft_timer *every = weft_every(0.01, NULL, weft_none);
    weft_timer *later = weft_after(0.1, press_control_c, weft_none);
    if (!signals || !every || !later)
        return EXIT_FAILURE;
    struct weft_signal caught;
    uint64_t ticks, all = 0;
    weft_case cases[] = {weft_case_timer(every, &ticks), weft_case_signals(signals, &caught)};
    int done;
    while ((done = weft_select(cases, 2, WEFT_FOREVER)) == 0)
        all += ticks;
    printf("it ticked: %s\n", all > 0 ? "yes" : "no");
    printf("then came signal %d\n", done == 1 ? caught.number : 0);
    weft_timer_join(later, WEFT_FOREVER);
    printf("the call was made %d time\n", (int)weft_timer_count(later));
    weft_timer_cancel(every);
    weft_timer_free(every);
    weft_timer_free(later);
    weft_signals_free(signals);
    return EXIT_SUCCESS;
}
