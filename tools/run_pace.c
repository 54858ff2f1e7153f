/* SPDX-License-Identifier: MIT */
/* See run_pace.h. What cannot be read (no /proc) stops nothing. */
#include "run_pace.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

enum { LOOK_MILLISECONDS = 200 };

void run_pace_tell(struct run_pace *pace, enum run_pace_cause cause)
{
    __atomic_store_n(&pace->waiting, (uint32_t)cause, __ATOMIC_RELAXED);
}

const char *run_pace_cause_text(const struct run_pace *pace)
{
    static const char *const texts[] = {[RUN_PACE_DELAY] = "--delay to pass",
        [RUN_PACE_LOAD] = "the load to fall (--load)",
        [RUN_PACE_MEMORY] = "memory to become free (--memfree)",
        [RUN_PACE_TOKEN] = "a token of the jobserver"};
    return texts[__atomic_load_n(&pace->waiting, __ATOMIC_RELAXED)];
}

/* Waits so long, or until it is time to stop (false). */
static bool pace_rest(const struct run_pace *pace, int milliseconds)
{
    struct pollfd stop = {.fd = pace->stop->draining, .events = POLLIN};
    return poll(&stop, 1, milliseconds) <= 0;
}

/* How many tasks want a processor now, this one not counted; 0 when that cannot be known. */
static unsigned runnable_tasks(const struct run_pace *pace)
{
    unsigned runnable = 0;
    FILE *file = fopen(pace->loadavg ? pace->loadavg : "/proc/loadavg", "re");
    if (!file)
        return 0;
    if (fscanf(file, "%*s %*s %*s %u", &runnable) != 1)
        runnable = 0;
    fclose(file);
    return runnable ? runnable - 1 : 0;
}

/* Octets that are free, or could be without swapping; all there can be when that cannot be known. */
static uint64_t free_memory(const struct run_pace *pace)
{
    unsigned long long kilobytes = 0;
    char line[128];
    bool found = false;
    FILE *file = fopen(pace->meminfo ? pace->meminfo : "/proc/meminfo", "re");
    if (!file)
        return UINT64_MAX;
    while (!found && fgets(line, sizeof line, file))
        found = sscanf(line, "MemAvailable: %llu kB", &kilobytes) == 1;
    fclose(file);
    return found ? kilobytes * 1024 : UINT64_MAX;
}

bool run_pace_is_short(const struct run_pace *pace)
{
    return pace->memory && free_memory(pace) < pace->memory / 2;
}

bool run_pace_wait_for_memory(const struct run_pace *pace)
{
    while (pace->memory && free_memory(pace) < pace->memory)
        if (!pace_rest(pace, LOOK_MILLISECONDS))
            return false;
    return true;
}

static bool wait_for_delay(struct run_pace *pace)
{
    for (weft_time now; pace->delay > 0 && (now = weft_clock()) < pace->next;) {
        run_pace_tell(pace, RUN_PACE_DELAY);
        weft_time left = (pace->next - now) / 1000000 + 1;
        if (!pace_rest(pace, left < 1000000 ? (int)left : 1000000))
            return false;
    }
    return true;
}

static bool wait_for_load(struct run_pace *pace)
{
    while (pace->load > 0 && (double)runnable_tasks(pace) >= pace->load) {
        run_pace_tell(pace, RUN_PACE_LOAD);
        if (!pace_rest(pace, LOOK_MILLISECONDS))
            return false;
    }
    return true;
}

bool run_pace_wait(struct run_pace *pace)
{
    bool goes = wait_for_delay(pace) && wait_for_load(pace);
    if (goes && pace->memory) {
        run_pace_tell(pace, RUN_PACE_MEMORY);
        goes = run_pace_wait_for_memory(pace);
    }
    run_pace_tell(pace, RUN_PACE_NOTHING);
    if (pace->delay > 0)
        pace->next = weft_in(pace->delay);
    return goes;
}
