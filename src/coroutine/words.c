/* SPDX-License-Identifier: MIT */
/*
 * A hub must not sleep in the kernel on a word for one of its coroutines. Over io_uring it need not: the kernel watches the word for it,
 * and the wait ends like one for a descriptor (`rings`). Else threads of this file sleep, for all coroutines of the process:
 * one kernel wait for each distinct word, up to WORDS of them in one futex_waitv. When it ends, all waits for that word end, the first of
 * them as woken if a wake was consumed, the others as if the word had changed: whether one was woken or all cannot be told, and a spurious
 * return is legal.
 *
 * A watcher has a table of words, each with a list of the items that wait for it (linked through their fields for the parking lot, which
 * does not queue such words). One latch guards all tables, the items in them, and `words_sent` of the flows.
 *
 * No wake is lost. A new item is compared with its word under the latch. If its word has a kernel wait already, that goes on, or the
 * watcher is awake and compares all items before it sleeps again; if not, its watcher's bell is rung. While a watcher is awake it is in no
 * queue of the kernel's: a wake that comes then finds the word changed first, as all wakers change it, and so does the watcher, either by
 * itself or by the kernel's own comparison. (But for the sweep after a death: who has to hear of that waits for the family's count, too.)
 * Between a wake consumed and the end of a wait that is over for other reasons, the wake is passed on.
 *
 * A watcher that has nobody left who waits is told so, and ends when nobody has come for IDLE.
 *
 * Where the kernel (or a container's filter, or Valgrind) has no futex_waitv, the first word is slept on, and the others are looked at each
 * LOOK_AGAIN.
 *
 * fork: the child has no watchers and, but for the flow that forked, no flows.
 */

#include "coroutine/words.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/opening.h"
#include "base/servant.h"
#include "coroutine/hub.h"
#include "shared/arena.h"

#ifdef WEFTI_SMALL
enum { WORDS = 3 };
#else
enum { WORDS = 127 };
#endif
enum { IDLE = 200000000 /* ns */, LOOK_AGAIN = 5000000 };

struct word {
    const uint32_t *address;
    struct wefti_item *first, *last; /* none: it is kept in case somebody comes again */
};

struct watcher {
    struct watcher *next;
    uint32_t bell; /* changes, and is woken, when the table has something that the kernel does not know */
    bool listed;
    bool lasting;     /* it sleeps without a deadline, so that it is to be told when nobody waits any more */
    unsigned count;   /* words */
    unsigned waiting; /* items */
    struct word words[WORDS];
};

static struct wefti_latch words_latch;
static struct watcher *words_watchers;

/* Under the latch, all from here to watcher_gather. */

static struct word *watcher_word(struct watcher *watcher, const uint32_t *address)
{
    for (unsigned i = 0; i < watcher->count; i++)
        if (watcher->words[i].address == address)
            return &watcher->words[i];
    return NULL;
}

/* Who watches the word, or could; NULL: nobody. */
static struct watcher *watcher_for(const uint32_t *address)
{
    struct watcher *free = NULL;
    for (struct watcher *watcher = words_watchers; watcher; watcher = watcher->next) {
        if (watcher_word(watcher, address))
            return watcher;
        if (watcher->count < WORDS && !free)
            free = watcher;
    }
    return free;
}

static void word_link(struct word *word, struct wefti_item *item)
{
    item->next = NULL;
    item->previous = word->last;
    *(word->last ? &word->last->next : &word->first) = item;
    word->last = item;
    item->queued = true;
}

static void word_unlink(struct watcher *watcher, struct wefti_item *item)
{
    struct word *word = watcher_word(watcher, item->word);
    *(item->previous ? &item->previous->next : &word->first) = item->next;
    *(item->next ? &item->next->previous : &word->last) = item->previous;
    item->queued = false;
    watcher->waiting--;
}

/* Takes out what is queued of the wait. A watcher that sleeps, and has nobody left, is told. */
static void wait_unlink(const struct wefti_wait *wait)
{
    for (unsigned i = 0; i < wait->count; i++) {
        struct wefti_item *item = wefti_wait_item(wait, i);
        if (item->kind != WEFTI_KERNEL_WORD || !item->queued || item->rings)
            continue;
        struct watcher *watcher = watcher_for(item->word);
        word_unlink(watcher, item);
        if (watcher->waiting > 0 || !watcher->lasting)
            continue;
        watcher->lasting = false;
        __atomic_store_n(&watcher->bell, watcher->bell + 1, __ATOMIC_RELAXED);
        wefti_futex_wake(&watcher->bell, 1);
    }
}

/* Links the item. The bell to be rung, or NULL. */
static const uint32_t *watcher_add(struct watcher *watcher, struct wefti_item *item)
{
    struct word *word = watcher_word(watcher, item->word);
    bool fresh = !word;
    if (fresh) {
        word = &watcher->words[watcher->count++];
        *word = (struct word){.address = item->word};
        __atomic_store_n(&watcher->bell, watcher->bell + 1, __ATOMIC_RELAXED);
    }
    word_link(word, item);
    watcher->waiting++;
    return fresh ? &watcher->bell : NULL;
}

/* Ends the wait of an item; its note goes to those that are to be posted. */
static void word_end_wait(struct wefti_item *item, short seen, struct wefti_note **notes)
{
    struct wefti_flow *flow = item->wait->context->flow;
    item->seen = seen;
    wait_unlink(item->wait);
    if (flow->words_sent)
        return;
    flow->words_sent = true;
    flow->worded.next = *notes;
    *notes = &flow->worded;
}

/* What differs ends; what was woken too. True: the wake was consumed by somebody. */
static bool word_look(struct word *word, bool woken, struct wefti_note **notes)
{
    uint32_t now = __atomic_load_n(word->address, __ATOMIC_ACQUIRE);
    bool consumed = false;
    for (struct wefti_item *item = word->first; item;) {
        if (!woken && item->expected == now) {
            item = item->next;
            continue;
        }
        word_end_wait(item, woken && !consumed ? WEFTI_SEEN_WOKEN : WEFTI_SEEN_CHANGED, notes);
        consumed = woken;
        item = word->first; /* the wait may have had several items here */
    }
    return consumed;
}

/* Looks at all words, one of which (NULL: none) was woken, and leaves out those that nobody waits for. */
static bool watcher_look(struct watcher *watcher, const uint32_t *woken, struct wefti_note **notes)
{
    bool consumed = false;
    unsigned kept = 0;
    for (unsigned i = 0; i < watcher->count; i++)
        if (watcher->words[i].first)
            consumed |= word_look(&watcher->words[i], watcher->words[i].address == woken, notes);
    for (unsigned i = 0; i < watcher->count; i++)
        if (watcher->words[i].first)
            watcher->words[kept++] = watcher->words[i];
    watcher->count = kept;
    return consumed;
}

/* What to give the kernel: the bell first. */
static unsigned watcher_gather(struct watcher *watcher, struct futex_waitv *words)
{
    unsigned count = 0;
    words[count++] = (struct futex_waitv){.val = watcher->bell, .uaddr = (uintptr_t)&watcher->bell, .flags = FUTEX_32 | FUTEX_PRIVATE_FLAG};
    for (unsigned i = 0; i < watcher->count; i++)
        words[count++] = (struct futex_waitv){
            .val = watcher->words[i].first->expected, .uaddr = (uintptr_t)watcher->words[i].address, .flags = FUTEX_32};
    return count;
}

static void notes_post(struct wefti_note *notes)
{
    while (notes) {
        struct wefti_note *note = notes;
        notes = note->next;
        wefti_note_post(note);
    }
}

static long watcher_sleep(const struct futex_waitv *words, unsigned count, weft_time deadline)
{
    long woken = wefti_futex_wait_any(words, count, deadline);
    if (woken != -ENOSYS && woken != -EPERM)
        return woken;
    weft_time soon = weft_clock() + LOOK_AGAIN;
    const uint32_t *word = (const uint32_t *)(uintptr_t)words[count > 1].uaddr; /* NOLINT: it was a pointer before */
    int error = count > 1 ? wefti_futex_wait_shared(word, (uint32_t)words[1].val, soon < deadline ? soon : deadline)
                          : wefti_futex_wait(word, (uint32_t)words[0].val, deadline);
    if (error == 0)
        return count > 1;
    return error == ETIMEDOUT && (count == 1 || deadline <= soon) ? -ETIMEDOUT : -EAGAIN;
}

/* Under the latch. */
static void watcher_unlist(struct watcher *watcher)
{
    struct watcher **link = &words_watchers;
    while (*link != watcher)
        link = &(*link)->next;
    *link = watcher->next;
}

/* Looks and gathers. The number of words; 0: the watcher is over. */
static unsigned watcher_turn(struct watcher *watcher, const uint32_t *woken, bool late, struct futex_waitv *words)
{
    struct wefti_note *notes = NULL;
    wefti_latch_close(&words_latch);
    watcher->lasting = false; /* it is awake */
    bool consumed = watcher_look(watcher, woken, &notes);
    bool over = late && watcher->listed && watcher->waiting == 0;
    if (over)
        watcher_unlist(watcher);
    unsigned count = over ? 0 : watcher_gather(watcher, words);
    watcher->lasting = watcher->waiting > 0;
    wefti_latch_open(&words_latch);
    notes_post(notes);
    if (woken && !consumed)
        wefti_futex_wake_shared(woken, 1);
    return count;
}

static void *watcher_main(void *data)
{
    struct watcher *watcher = data;
    struct futex_waitv words[WORDS + 1];
    const uint32_t *woken = NULL;
    bool late = false;
    unsigned count;
    pthread_setname_np(pthread_self(), "Words");
    while ((count = watcher_turn(watcher, woken, late, words)) > 0) {
        long which = watcher_sleep(words, count, count > 1 ? WEFT_FOREVER : weft_clock() + IDLE);
        woken = which > 0 ? (const uint32_t *)(uintptr_t)words[which].uaddr : NULL; /* NOLINT: it was a pointer before */
        late = which == -ETIMEDOUT;
    }
    wefti_release(watcher);
    return NULL;
}

/* Starts a watcher. -1 with EAGAIN or ENOMEM. */
static int watcher_start(void)
{
    struct watcher *watcher = wefti_alloc(sizeof(*watcher));
    if (!watcher)
        return -1;
    int error = wefti_servant_start(watcher_main, watcher);
    if (error) {
        wefti_release(watcher);
        errno = error;
        return -1;
    }
    wefti_latch_close(&words_latch);
    watcher->next = words_watchers;
    watcher->listed = true; /* from here on it may end */
    words_watchers = watcher;
    wefti_latch_open(&words_latch);
    return 0;
}

/* Gathers the words of the wait that lie in the arena; how many, of which no more than WEFTI_LIFE_WAITS are gathered. */
static unsigned words_shared(const struct wefti_wait *wait, const uint32_t **words)
{
    unsigned count = 0;
    for (unsigned i = 0; i < wait->count; i++) {
        const struct wefti_item *item = wefti_wait_item(wait, i);
        if (item->kind == WEFTI_KERNEL_WORD && wefti_is_shared(item->word) && count++ < WEFTI_LIFE_WAITS)
            words[count - 1] = item->word;
    }
    return count;
}

/*
 * What the life says that the context sleeps on, all at once: whoever sweeps after a death wakes these, and no others. A context that
 * cannot have a life sleeps without that. False with EINVAL: the wait has more than a life has room for beside the word that cancels.
 */
static bool words_publish(struct wefti_context *context, const struct wefti_wait *wait, const struct wefti_wait *watch)
{
    const uint32_t *words[WEFTI_LIFE_WAITS];
    unsigned count = words_shared(wait, words);
    int error = errno;
    if (count >= WEFTI_LIFE_WAITS) {
        errno = EINVAL;
        return false;
    }
    count += watch->count ? words_shared(watch, words + count) : 0; /* it has one word */
    if (count > 0 && wefti_context_life(context))
        wefti_life_sleeps(context->life, words, count);
    errno = error;
    return true;
}

/* Adds one item. 0; 1: its word has changed; -1: there is no room at any watcher. Under the latch. */
static int item_watch(struct wefti_item *item, struct wefti_wait *wait, const uint32_t **rung)
{
    struct watcher *watcher = watcher_for(item->word);
    if (!watcher)
        return -1;
    if (__atomic_load_n(item->word, __ATOMIC_ACQUIRE) != item->expected) {
        item->seen = WEFTI_SEEN_CHANGED;
        return 1;
    }
    item->wait = wait;
    *rung = watcher_add(watcher, item);
    return 0;
}

/* Has the hub's ring watch the item's word. False: there is none, or it cannot. */
static bool item_ring(struct wefti_descriptors *descriptors, struct wefti_item *item, struct wefti_wait *wait)
{
    item->rings = false;
    if (wefti_clock_own != 0 || !descriptors->backend->watch(descriptors, item))
        return false;
    item->wait = wait;
    item->rings = item->queued = true;
    descriptors->waiting++;
    return true;
}

/* Whoever leaves a wait before the kernel has taken the wait from the item: his wait is not to be told. */
void wefti_word_watched(struct wefti_descriptors *descriptors, struct wefti_item *item, long result)
{
    struct wefti_wait *wait = item->wait;
    item->queued = false;
    descriptors->waiting--;
    if (result == 0)
        item->seen = WEFTI_SEEN_WOKEN;
    else if (wait)
        item->seen = WEFTI_SEEN_CHANGED;
    if (wait)
        descriptors->ready(wait);
}

static int wait_watch(struct wefti_flow *flow, const struct wefti_wait *wait)
{
    int added = 0;
    for (unsigned i = 0; i < wait->count && added == 0; i++) {
        struct wefti_item *item = wefti_wait_item(wait, i);
        if (item->kind != WEFTI_KERNEL_WORD || item_ring(&flow->hub->descriptors, item, (struct wefti_wait *)wait))
            continue;
        const uint32_t *rung = NULL;
        do {
            wefti_latch_close(&words_latch);
            added = item_watch(item, (struct wefti_wait *)wait, &rung); /* it is the waiter's, and he calls */
            wefti_latch_open(&words_latch);
        } while (added < 0 && watcher_start() == 0);
        if (rung)
            wefti_futex_wake(rung, 1);
    }
    return added;
}

int wefti_words_add(struct wefti_flow *flow, const struct wefti_wait *wait, const struct wefti_wait *watch)
{
    if (!words_publish(flow->context, wait, watch))
        return -1;
    int added = wait_watch(flow, wait);
    return added == 0 ? wait_watch(flow, watch) : added;
}

bool wefti_words_remove(struct wefti_flow *flow, const struct wefti_wait *wait)
{
    struct wefti_descriptors *descriptors = &flow->hub->descriptors;
    for (unsigned i = 0; i < wait->count; i++) {
        struct wefti_item *item = wefti_wait_item(wait, i);
        if (item->kind != WEFTI_KERNEL_WORD || !item->rings || !item->queued)
            continue;
        item->wait = NULL;
        descriptors->backend->end(descriptors, item);
    }
    wefti_latch_close(&words_latch);
    wait_unlink(wait);
    bool sent = flow->words_sent;
    wefti_latch_open(&words_latch);
    if (flow->context->life)
        wefti_life_wakes(flow->context->life);
    return sent;
}

static WEFTI_FORKED void words_forked(void)
{
    words_latch = (struct wefti_latch){0};
    for (struct watcher *watcher = words_watchers, *next; watcher; watcher = next) {
        next = watcher->next;
        wefti_release(watcher);
    }
    words_watchers = NULL;
}

WEFTI_OPENING_WAIT static void words_open(void)
{
    pthread_atfork(NULL, NULL, words_forked);
}
