/* SPDX-License-Identifier: MIT */
/*
 * How a flow parks for more than an unpark: a deadline, descriptors, words of the kernel's, the word that cancels a process's main task.
 *
 * What comes sets a mark of the flow: `given` an unpark, `late` its moment, `seen` a descriptor or a word that a ring watches, `words_got`
 * the note about a word that a thread watches (words.c). Whoever parks here takes back all that it waits for before it goes on, so nothing
 * of the wait is anybody's afterwards; and if an unpark has ended it, a wake that one of its words was given meanwhile goes to another.
 *
 * All of it by the hub's thread, inside.
 */

#include <errno.h>

#include "base/futex.h"
#include "coroutine/hub.h"
#include "coroutine/words.h"

/* The kinds of its items, as a set: bit k is kind k. */
static unsigned wait_kinds(const struct wefti_wait *wait)
{
    unsigned kinds = 0;
    for (unsigned i = 0; i < wait->count; i++)
        kinds |= 1U << wefti_wait_item(wait, i)->kind;
    return kinds;
}

/* When nobody watches words for the flow any more: comes back when no note about them can be on its way. */
static void flow_settle_words(struct wefti_flow *flow, bool sent)
{
    while (sent && !flow->words_got)
        wefti_flow_sleep(flow);
    flow->words_got = flow->words_sent = false;
}

/* The wakes that words from this item on were given, and that do not end the wait: others may use them. */
static void words_pass_on(const struct wefti_wait *wait, unsigned first)
{
    for (unsigned i = first; i < wait->count; i++) {
        const struct wefti_item *item = wefti_wait_item(wait, i);
        if (item->kind == WEFTI_KERNEL_WORD && item->seen == WEFTI_SEEN_WOKEN)
            wefti_futex_wake_shared(item->word, 1);
    }
}

/* The first item that ended the wait; their number: none did. */
static unsigned wait_first_seen(const struct wefti_wait *wait)
{
    unsigned first = 0;
    while (first < wait->count && !wefti_wait_item(wait, first)->seen)
        first++;
    return first;
}

static bool wait_seen(const struct wefti_wait *wait)
{
    return wait_first_seen(wait) < wait->count;
}

/* Sleeps until the flow is unparked, or its deadline or one of its things comes. */
static void flow_park_until(struct wefti_flow *flow, weft_time deadline)
{
    struct wefti_hub *hub = flow->hub;
    flow->late = flow->seen = false;
    if (deadline != WEFT_FOREVER)
        wefti_moments_add(&hub->moments, &flow->moment, deadline);
    while (!flow->given && !flow->late && !flow->seen && !flow->words_got)
        wefti_flow_sleep(flow);
    if (wefti_moment_added(&flow->moment))
        wefti_moments_remove(&hub->moments, &flow->moment);
}

/* Whether others may cancel the flow by a word of the arena. */
static bool flow_is_watched(const struct wefti_flow *flow)
{
    return flow->context->watched && !__atomic_load_n(&flow->context->cancelled, __ATOMIC_RELAXED);
}

/* A park for descriptors. -1 with errno: they could not be waited for. */
static int flow_park_descriptors(struct wefti_flow *flow, const struct wefti_wait *wait)
{
    struct wefti_hub *hub = flow->hub;
    int added = wefti_descriptors_add(&hub->descriptors, wait);
    if (added != 0)
        return added < 0 ? -1 : 0;
    flow_park_until(flow, wait->deadline);
    if (!flow->seen || wait->count > 1)
        wefti_descriptors_remove(&hub->descriptors, wait);
    return 0;
}

/* A park for things beside words of the parking lot; `watch` is for a word that cancels. -1 with errno: they could not be waited for. */
static int flow_park_for(struct wefti_flow *flow, const struct wefti_wait *wait, const struct wefti_wait *watch)
{
    struct wefti_hub *hub = flow->hub;
    int added = wefti_descriptors_add(&hub->descriptors, wait);
    if (added == 0)
        added = wefti_words_add(flow, wait, watch);
    int error = errno;
    if (added == 0)
        flow_park_until(flow, wait->deadline);
    wefti_descriptors_remove(&hub->descriptors, wait);
    bool sent = wefti_words_remove(flow, wait);
    sent |= wefti_words_remove(flow, watch);
    flow_settle_words(flow, sent);
    errno = error;
    return added < 0 ? -1 : 0;
}

/*
 * The same, and cancelled on the way if the word says so: that claims the wait, and unparks this. That the word was woken says nothing: at
 * each death in the family all words are.
 */
static int flow_park_watched(struct wefti_flow *flow, const struct wefti_wait *wait)
{
    for (;;) {
        struct wefti_item item = {.kind = WEFTI_KERNEL_WORD, .word = flow->context->watched};
        struct wefti_wait watch = {.context = flow->context, .items = &item, .count = flow_is_watched(flow)};
        int parked = flow_park_for(flow, wait, &watch);
        if (!item.seen || flow->given || flow->late || wait_seen(wait))
            return parked;
        if (__atomic_load_n(flow->context->watched, __ATOMIC_ACQUIRE))
            wefti_context_cancel(flow->context);
    }
}

int wefti_flow_park(struct wefti_flow *flow, const struct wefti_wait *wait)
{
    unsigned kinds = wait_kinds(wait);
    bool words = (kinds & 1U << WEFTI_KERNEL_WORD) != 0 || flow_is_watched(flow);
    bool things = words || (kinds & 1U << WEFTI_DESCRIPTOR) != 0;
    int parked = 0;
    if (things && !flow->given)
        parked = words ? flow_park_watched(flow, wait) : flow_park_descriptors(flow, wait);
    else
        flow_park_until(flow, wait->deadline);
    if (flow->given) {
        flow->given = false;
        if (things)
            words_pass_on(wait, 0);
        return 0;
    }
    if (things && wait_seen(wait)) {
        words_pass_on(wait, wait_first_seen(wait) + 1);
        return 1;
    }
    if (parked == 0)
        errno = ETIMEDOUT;
    return -1;
}
