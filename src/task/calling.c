/* SPDX-License-Identifier: MIT */
/* What a task does about itself, whatever runs it: sleeps, lets others run, shields itself from cancellation, asks whether it came. */

#include <errno.h>

#include "task/task.h"

bool weft_cancelled(void)
{
    return wefti_context_cancelled(wefti_context_current());
}

struct weft_shield_scope weft_shield_begin(void)
{
    wefti_shield_raise();
    return (struct weft_shield_scope){.inside = true};
}

void weft_shield_end(struct weft_shield_scope *scope)
{
    (void)scope;
    wefti_shield_lower();
}

int weft_sleep_until(weft_time deadline)
{
    if (deadline <= WEFT_NOW)
        return 0;
    int error = errno;
    weft_time until = wefti_deadline(deadline);
    if (wefti_wait_items(NULL, 0, until) < 0 && (errno != ETIMEDOUT || (until < deadline && weft_clock() < deadline)))
        return -1;
    errno = error;
    return 0;
}

int weft_sleep(double seconds)
{
    return weft_sleep_until(weft_in(seconds));
}

void weft_yield(void)
{
    wefti_yield();
}
