/* SPDX-License-Identifier: MIT */
/* Event and Barrier: where clients meet. */

#include <errno.h>

#include "base/memory.h"
#include "manager/manager.h"

struct event {
    bool set;
    struct wefti_waiters waiters;
};

static weft_value event_construct(struct wefti_call *call)
{
    call->object->state = wefti_alloc(sizeof(struct event));
    return call->object->state ? weft_none : wefti_raise_memory(call);
}

static void state_release(struct wefti_managed *object)
{
    wefti_release(object->state);
}

static weft_value event_is_set(struct wefti_call *call)
{
    return weft_bool(((const struct event *)call->object->state)->set);
}

static weft_value event_set(struct wefti_call *call)
{
    struct event *event = call->object->state;
    event->set = true;
    wefti_waiters_give_all(&event->waiters, WEFTI_GIVEN);
    return weft_none;
}

static weft_value event_clear(struct wefti_call *call)
{
    ((struct event *)call->object->state)->set = false;
    return weft_none;
}

static weft_value event_wait(struct wefti_call *call)
{
    struct event *event = call->object->state;
    struct wefti_waiter waiter = {.note = NULL};
    weft_time deadline;
    weft_value error;
    if (!wefti_timeout(call, call->bound[0], NULL, &deadline, &error))
        return error;
    if (event->set || wefti_waiters_wait(&event->waiters, &waiter, call, deadline))
        return weft_bool(true);
    return errno == ETIMEDOUT || errno == EAGAIN ? weft_bool(false) : wefti_abandoned(call);
}

/* Who comes last lets all go, and the next round begins at once. A party that leaves early, or is gone, breaks it for all, until a
 * reset. */
struct barrier {
    int64_t parties, waiting;
    weft_value timeout;
    bool broken;
    struct wefti_waiters waiters;
};

static weft_value barrier_construct(struct wefti_call *call)
{
    int64_t parties;
    weft_time deadline;
    weft_value error;
    if (!wefti_integer(call, call->bound[0], 0, &parties, &error) || !wefti_timeout(call, call->bound[2], NULL, &deadline, &error))
        return error;
    if (parties < 1)
        return wefti_raise_text(call, "ValueError", "parties must be > 0");
    if (wefti_given(call->bound[1]))
        return wefti_raise_text(call, "TypeError", "the action of a Barrier is a program, which is not run here");
    struct barrier *barrier = wefti_alloc(sizeof(*barrier));
    if (!barrier)
        return wefti_raise_memory(call);
    *barrier = (struct barrier){.parties = parties, .timeout = wefti_given(call->bound[2]) ? weft_keep(call->bound[2]) : weft_none};
    call->object->state = barrier;
    return weft_none;
}

static void barrier_destroy(struct wefti_managed *object)
{
    struct barrier *barrier = object->state;
    weft_drop(barrier->timeout);
    wefti_release(barrier);
}

static void barrier_let_go(struct barrier *barrier, uint32_t what)
{
    barrier->waiting = 0;
    wefti_waiters_give_all(&barrier->waiters, what);
}

static weft_value barrier_break(struct wefti_call *call)
{
    return wefti_raise(call, "threading.BrokenBarrierError", NULL, 0);
}

static weft_value barrier_wait(struct wefti_call *call)
{
    struct barrier *barrier = call->object->state;
    struct wefti_waiter waiter = {.note = NULL};
    weft_time deadline;
    weft_value error;
    if (!wefti_timeout(call, wefti_given(call->bound[0]) ? call->bound[0] : barrier->timeout, NULL, &deadline, &error))
        return error;
    if (barrier->broken)
        return barrier_break(call);
    int64_t index = barrier->waiting++;
    if (barrier->waiting == barrier->parties) {
        barrier_let_go(barrier, WEFTI_GIVEN);
        return weft_int(index);
    }
    uint32_t given = wefti_waiters_wait(&barrier->waiters, &waiter, call, deadline);
    if (given)
        return given == WEFTI_GIVEN ? weft_int(index) : barrier_break(call);
    bool late = errno == ETIMEDOUT || errno == EAGAIN;
    barrier->broken = true;
    barrier_let_go(barrier, WEFTI_BROKEN);
    return late ? barrier_break(call) : wefti_abandoned(call);
}

static weft_value barrier_abort(struct wefti_call *call)
{
    struct barrier *barrier = call->object->state;
    barrier->broken = true;
    barrier_let_go(barrier, WEFTI_BROKEN);
    return weft_none;
}

static weft_value barrier_reset(struct wefti_call *call)
{
    struct barrier *barrier = call->object->state;
    barrier->broken = false;
    barrier_let_go(barrier, WEFTI_BROKEN);
    return weft_none;
}

static weft_value barrier_attribute(struct wefti_call *call)
{
    const struct barrier *barrier = call->object->state;
    weft_value name = call->bound[0];
    if (weft_equal(name, weft_none) || name.kind != WEFT_STR)
        return wefti_raise_text(call, "TypeError", "attribute name must be string, not '%s'", wefti_type_name(name));
    const char *text = wefti_is_name(name) ? weft_as_str(name) : "";
    if (__builtin_strcmp(text, "parties") == 0)
        return weft_int(barrier->parties);
    if (__builtin_strcmp(text, "n_waiting") == 0)
        return weft_int(barrier->waiting);
    if (__builtin_strcmp(text, "broken") == 0)
        return weft_bool(barrier->broken);
    return wefti_raise_text(call, "AttributeError", "'Barrier' object has no attribute '%.100s'", text);
}

/* As Python prints them. */

static weft_value event_repr(struct wefti_managed *object)
{
    const struct event *event = object->state;
    return weft_str_f("<threading.Event at 0x%lx: %s>", object->ident, event->set ? "set" : "unset");
}

static weft_value barrier_repr(struct wefti_managed *object)
{
    const struct barrier *barrier = object->state;
    if (barrier->broken)
        return weft_str_f("<threading.Barrier at 0x%lx: broken>", object->ident);
    return weft_str_f("<threading.Barrier at 0x%lx: waiters=%ld/%ld>", object->ident, barrier->waiting, barrier->parties);
}

static const struct wefti_method event_methods[] = {
    {.name = "clear", .function = event_clear},
    {.name = "is_set", .function = event_is_set},
    {.name = "set", .function = event_set},
    {.name = "wait", .function = event_wait, .parameters = {"timeout"}},
};
static const struct wefti_method barrier_methods[] = {
    {.name = "__getattribute__", .function = barrier_attribute, .parameters = {"name"}, .required = 1},
    {.name = "abort", .function = barrier_abort},
    {.name = "reset", .function = barrier_reset},
    {.name = "wait", .function = barrier_wait, .parameters = {"timeout"}},
};

const struct wefti_managed_type wefti_type_event = {
    "Event", event_methods, 4, event_construct, .destroy = state_release, .repr = event_repr};
const struct wefti_managed_type wefti_type_barrier = {"Barrier", barrier_methods, 4, barrier_construct, {"parties", "action", "timeout"}, 1,
    .destroy = barrier_destroy, .repr = barrier_repr};
