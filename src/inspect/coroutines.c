/* SPDX-License-Identifier: MIT */
/* Reports of coroutines, of any process that uses this library: made of what the task floor reads of its memory (task/outside.c). */

#include <weft/inspect.h>

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "base/clock.h"
#include "inspect/fields.h"
#include "inspect/view.h"
#include "task/outside.h"

enum { WALKS_MOST = 8 };

/* A list while it is made. */
struct listing {
    weft_value list;
    size_t most; /* coroutines in it */
    bool failed;
};

static const char *events_name(short events)
{
    bool in = events & (POLLIN | POLLRDHUP | POLLPRI), out = events & POLLOUT;
    return in && out ? "read, write" : out ? "write" : "read";
}

static weft_value thing_report(const struct wefti_item *thing, bool *failed)
{
    static const char *const kinds[] = {"word", "descriptor", "shared word", "nothing"};
    weft_value one = weft_dict();
    wefti_field_set(one, "kind", weft_str(kinds[thing->kind <= WEFTI_NOTHING ? thing->kind : WEFTI_NOTHING]), failed);
    if (thing->kind == WEFTI_DESCRIPTOR) {
        wefti_field_set(one, "descriptor", weft_int(thing->descriptor), failed);
        wefti_field_set(one, "events", weft_str(events_name(thing->events)), failed);
    } else
        wefti_field_set(one, "address", weft_str_f("0x%llx", (unsigned long long)(uintptr_t)thing->word), failed);
    return one;
}

static double seconds_of(weft_time span)
{
    return span > 0 ? (double)span / 1e9 : 0;
}

static void wait_fields(weft_value report, const struct wefti_outside *seen, bool *failed)
{
    weft_time now = wefti_clock_real();
    weft_value waits = weft_list();
    for (size_t i = 0; i < seen->count; i++)
        if (seen->things[i].kind != WEFTI_NOTHING)
            wefti_item_add(waits, thing_report(&seen->things[i], failed), failed);
    wefti_field_set(report, "waits", waits, failed);
    wefti_field_set(report, "seconds", weft_float(seconds_of(now - seen->since)), failed);
    if (seen->deadline != WEFT_FOREVER)
        wefti_field_set(report, "left", weft_float(seconds_of(seen->deadline - now)), failed);
    if (*seen->call)
        wefti_field_set(report, "call", weft_str(seen->call), failed);
    if (*seen->place)
        wefti_field_set(report, "place", weft_str(seen->place), failed);
}

static bool coroutine_add(const struct wefti_outside *seen, void *data)
{
    static const char *const states[] = {"new", "ready", "runs", "waits"};
    struct listing *listing = data;
    bool *failed = &listing->failed;
    if (weft_length(listing->list) >= listing->most)
        return false;
    weft_value report = weft_dict();
    wefti_field_set(report, "name", weft_str(seen->name), failed);
    wefti_field_set(report, "ident", weft_int((int64_t)seen->ident), failed);
    wefti_field_set(report, "thread", weft_int(seen->thread), failed);
    wefti_field_set(report, "state", weft_str(states[seen->state]), failed);
    if (seen->state == WEFTI_OUTSIDE_WAITS)
        wait_fields(report, seen, failed);
    wefti_item_add(listing->list, report, failed);
    return !*failed;
}

/* Walks until nothing came between; the last walk counts as far as it came. 0; -1 with errno. */
static int coroutines_list(pid_t pid, struct listing *listing)
{
    int error = EAGAIN;
    for (int walks = 0; error == EAGAIN && walks < WALKS_MOST; walks++) {
        weft_drop(listing->list);
        listing->list = weft_list();
        error = wefti_outside_each(pid, coroutine_add, listing) == 0 ? 0 : errno;
    }
    if (listing->failed || weft_is_error(listing->list))
        error = ENOMEM;
    if (error == 0 || error == EAGAIN || error == ECHILD)
        return 0;
    errno = error;
    return -1;
}

weft_value wefti_coroutines_report(pid_t pid, size_t most, bool *failed)
{
    struct listing listing = {.list = weft_none, .most = most};
    if (coroutines_list(pid, &listing) == 0)
        return listing.list;
    *failed |= errno == ENOMEM;
    weft_drop(listing.list);
    return weft_list();
}

int weft_inspect_coroutines(int pid, weft_value *coroutines)
{
    struct listing listing = {.list = weft_none, .most = SIZE_MAX};
    if (!coroutines || pid <= 0) {
        errno = EINVAL;
        return -1;
    }
    if (coroutines_list(pid, &listing) != 0) {
        int error = errno;
        weft_drop(listing.list);
        errno = error;
        return -1;
    }
    *coroutines = listing.list;
    return 0;
}

static int program_add(pid_t pid, void *data)
{
    return wefti_outside_is(pid) ? weft_list_append(*(weft_value *)data, weft_int(pid)) : 0;
}

int weft_programs(weft_value *pids)
{
    if (!pids) {
        errno = EINVAL;
        return -1;
    }
    weft_value found = weft_list();
    if (weft_is_error(found) || wefti_processes_each(program_add, &found) != 0) {
        int error = errno;
        weft_drop(found);
        errno = error;
        return -1;
    }
    *pids = found;
    return 0;
}
