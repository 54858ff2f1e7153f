/* SPDX-License-Identifier: MIT */
/*
 * The parking lot: waiting for the change of a word, by its address.
 *
 * A wait (struct wefti_wait) is one sleep of one context, for any number of items. Each word that it waits for has its item queued, first
 * in first out, in the bucket that the word's address hashes to. Everything lives on the waiter's stack; nothing is allocated.
 *
 * No wake is lost. A waker changes the word, then closes the bucket's latch and looks for waiters. A waiter closes the latch, looks at the
 * word, and queues itself only if it has not changed. Whichever has the latch first: either the waker finds the waiter, or the waiter,
 * whose close (acquire) pairs with the waker's open (release) or with the waker's own change before its close, sees the new word.
 *
 * Who ends a wait claims it. claim: 0 open; CLAIM_TIME, CLAIM_CANCEL; FIRST_ITEM + i: by item i. It leaves 0 once, by compare-and-swap, and
 * whoever moves it owes the context exactly one unpark; the waiter that moves it itself (its deadline, a descriptor, a word that differs)
 * owes none. A waiter that finds its wait claimed by another parks until that unpark has come, so a wait, its items and its context are
 * there as long as anybody can hold a pointer to them. A wake that finds a wait claimed already goes on to the next waiter: one wake, one
 * waiter.
 *
 * A wait that a partner ends who can find it (direct.h) has no items and is in no bucket; all else here is true of it too.
 *
 * A canceller finds the wait through the context, under context->guard: the wait is published there before it parks and withdrawn after.
 *
 * Latches: a bucket's and a guard are never held together, and nothing is called under them.
 *
 * Signal handlers. weft_wake may be called by one that has interrupted this file, in a thread that has a bucket's latch: it would wait for
 * that for ever. So a thread says in a variable of its own that it is inside before it closes a latch, and takes that back after it has
 * opened it; a wake that finds it so is put off until then. Handler and thread are one thread: what orders them is the order of the code,
 * kept by signal fences. No wake is lost: the thread looks at what is owed after it has said that it is outside, and a handler that comes
 * later finds it outside and wakes by itself. Nothing else that a wake does waits or allocates: a claim is one compare-and-swap, an unpark
 * is a few of them and a system call (context.h asks that of all carriers).
 *
 * A short spin comes before a sleep, where that has paid before (wait/spin.h).
 *
 * After a fork the child has none of the other waiters: the lot is emptied there.
 *
 * A word that the kernel or another process wakes is not queued here: to this file it is what a descriptor is, a thing that only the
 * carrier can watch. The words of the arena, which other processes wait for and wake, take that path: their addresses tell.
 */

#include "wait/wait.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "base/large.h"
#include "base/opening.h"
#include "hint.h"
#include "shared/arena.h"
#include "wait/context.h"
#include "wait/direct.h"
#include "wait/parked.h"

#ifdef WEFTI_SMALL
enum { BUCKET_BITS = 1, SPIN_TIME = 2000 };
#else
enum { BUCKET_BITS = 9, SPIN_TIME = 20000 /* ns */ };
#endif
enum { SPIN_LOOKS = 8 };

struct bucket {
    struct wefti_latch latch;
    struct wefti_item *head, *tail;
} __attribute__((aligned(64)));

static WEFTI_LARGE struct bucket buckets[1 << BUCKET_BITS];

static struct bucket *bucket_of(const uint32_t *word)
{
    uint64_t hash = ((uint64_t)(uintptr_t)word >> 2) * UINT64_C(0x9e3779b97f4a7c15); /* 2^64 / golden ratio */
    return &buckets[hash >> (64 - BUCKET_BITS)];
}

/*
 * What a thread's signal handlers owe to others: wakes that had to wait, as the thread was in the lot. The thread's own; handlers interrupt
 * each other, but each ends before the one that it interrupted goes on.
 */
enum { OWED_LIMIT = 16 };
struct lot_thread {
    uint32_t inside; /* 1: it has, or is about to have, a bucket's latch */
    uint32_t owed;   /* how many wakes; more than OWED_LIMIT: all waiters there are */
    uint32_t counts[OWED_LIMIT];
    const uint32_t *words[OWED_LIMIT];
    bool settling;
};
static __thread struct lot_thread lot_own;

static void lot_settle(void);

static void lot_enter(struct bucket *bucket)
{
    lot_own.inside = 1;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    wefti_latch_close(&bucket->latch);
}

static inline __attribute__((always_inline)) void lot_leave(struct bucket *bucket)
{
    wefti_latch_open(&bucket->latch);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    lot_own.inside = 0;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (__builtin_expect(__atomic_load_n(&lot_own.owed, __ATOMIC_RELAXED) != 0, 0) && !lot_own.settling)
        lot_settle();
}

/* Puts a wake off until the interrupted code has left the lot. The place is taken in one step, as another handler may come in between. */
static __attribute__((noinline)) void lot_owe(const uint32_t *word, uint32_t count)
{
    uint32_t place = __atomic_fetch_add(&lot_own.owed, 1, __ATOMIC_RELAXED);
    if (place >= OWED_LIMIT)
        return;
    lot_own.words[place] = word;
    lot_own.counts[place] = count;
}

static void bucket_add(struct bucket *bucket, struct wefti_item *item)
{
    item->next = NULL;
    item->previous = bucket->tail;
    *(bucket->tail ? &bucket->tail->next : &bucket->head) = item;
    bucket->tail = item;
    item->queued = true;
}

static void bucket_remove(struct bucket *bucket, struct wefti_item *item)
{
    *(item->previous ? &item->previous->next : &bucket->head) = item->next;
    *(item->next ? &item->next->previous : &bucket->tail) = item->previous;
    item->queued = false;
}

/* Release: what the claimer did before is seen by the waiter, which reads the claim with acquire. */
static bool wait_claim(struct wefti_wait *wait, uint32_t claim)
{
    uint32_t open = 0;
    return __atomic_compare_exchange_n(&wait->claim, &open, claim, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* The same by a waker, in the lot: there a thread's signal handlers put their wakes off, so a thread that is alone meets nobody. */
static bool lot_claim(struct wefti_wait *wait, uint32_t claim)
{
    return wefti_alone() ? wefti_move(&wait->claim, CLAIM_OPEN, claim) : wait_claim(wait, claim);
}

/* Queues the item unless its word has changed: then false. */
static bool item_queue(struct wefti_item *item, struct wefti_wait *wait)
{
    struct bucket *bucket = bucket_of(item->word);
    lot_enter(bucket);
    bool same = __atomic_load_n(item->word, __ATOMIC_ACQUIRE) == item->expected;
    if (same) {
        item->wait = wait;
        bucket_add(bucket, item);
    }
    lot_leave(bucket);
    return same;
}

static void item_unqueue(struct wefti_item *item)
{
    struct bucket *bucket = bucket_of(item->word);
    lot_enter(bucket);
    if (item->queued)
        bucket_remove(bucket, item);
    lot_leave(bucket);
}

/* Makes the wait known to cancellers: other threads, or nobody. False when it is cancelled already. */
static inline bool wait_publish(struct wefti_wait *wait)
{
    struct wefti_context *context = wait->context;
    bool alone = wefti_alone();
    if (!alone)
        wefti_latch_close(&context->guard);
    bool cancelled = wait->cancellable && wefti_context_cancelled(context);
    if (!cancelled)
        context->wait = wait;
    if (!alone)
        wefti_latch_open(&context->guard);
    return !cancelled;
}

static inline void wait_withdraw(struct wefti_wait *wait)
{
    bool alone = wefti_alone();
    if (!alone)
        wefti_latch_close(&wait->context->guard);
    wait->context->wait = NULL;
    if (!alone)
        wefti_latch_open(&wait->context->guard);
}

/* The wait has ended for another reason: a wake that the kernel gave to this item another can use. */
static void item_pass_on(const struct wefti_item *item)
{
    if (item->kind == WEFTI_KERNEL_WORD && item->seen == WEFTI_SEEN_WOKEN)
        wefti_futex_wake_shared(item->word, 1);
}

/* The waiter has claimed the wait himself: nobody else is about to unpark the context. */
static void wait_settled(struct wefti_context *context)
{
    if (context->carrier->settled)
        context->carrier->settled(context);
}

/* Parks until the wait is claimed, by another or by this; errno says why when this found neither word nor descriptor. */
static void wait_park(struct wefti_wait *wait)
{
    struct wefti_context *context = wait->context;
    int parked = context->carrier->park(context, wait);
    if (parked == 0)
        return;
    int error = errno;
    uint32_t claim = CLAIM_TIME;
    for (unsigned i = 0; parked > 0 && i < wait->count; i++)
        if (wefti_wait_item(wait, i)->seen) {
            claim = CLAIM_ITEM + i;
            break;
        }
    if (!wait_claim(wait, claim)) { /* somebody was faster, and his unpark is on its way */
        if (claim >= CLAIM_ITEM)
            item_pass_on(wefti_wait_item(wait, claim - CLAIM_ITEM));
        struct wefti_wait rest = {.context = context, .deadline = WEFT_FOREVER};
        context->carrier->park(context, &rest);
        if (claim >= CLAIM_ITEM && wefti_wait_item(wait, claim - CLAIM_ITEM)->kind == WEFTI_KERNEL_WORD &&
            wefti_wait_item(wait, claim - CLAIM_ITEM)->seen == WEFTI_SEEN_WOKEN)
            wefti_futex_wake_shared(wefti_wait_item(wait, claim - CLAIM_ITEM)->word, 1); /* another's, then */
    } else
        wait_settled(context);
    errno = error;
}

/* The same of a wait that only others or its deadline end. */
static inline void wait_rest(struct wefti_wait *wait)
{
    struct wefti_context *context = wait->context;
    if (__builtin_expect(context->carrier->rest(context, wait->deadline) == 0, 1))
        return;
    int error = errno;
    if (wait_claim(wait, CLAIM_TIME))
        wait_settled(context);
    else
        context->carrier->rest(context, WEFT_FOREVER); /* somebody was faster, and his unpark is on its way */
    errno = error;
}

static enum wefti_item_kind word_kind(const uint32_t *word)
{
    return wefti_is_shared(word) ? WEFTI_KERNEL_WORD : WEFTI_WORD;
}

/* The first item whose word has changed, or -1. */
static int items_look(const struct wefti_wait *wait)
{
    for (unsigned i = 0; i < wait->count; i++) {
        struct wefti_item *item = wefti_wait_item(wait, i);
        item->seen = 0;
        item->number = i;
        item->queued = false;
        if (item->kind == WEFTI_WORD)
            item->kind = word_kind(item->word);
        bool word = item->kind == WEFTI_WORD || item->kind == WEFTI_KERNEL_WORD;
        if (word && __atomic_load_n(item->word, __ATOMIC_ACQUIRE) != item->expected)
            return (int)i;
    }
    return -1;
}

/* What the claim says to the caller. */
static int wait_outcome(const struct wefti_wait *wait)
{
    uint32_t claim = __atomic_load_n(&wait->claim, __ATOMIC_ACQUIRE);
    if (claim >= CLAIM_ITEM)
        return (int)(claim - CLAIM_ITEM);
    if (claim == CLAIM_CANCEL)
        errno = ECANCELED;
    return -1; /* by its own claim: errno says why */
}

/* Queues, parks, leaves: the whole of a wait that has to sleep. */
static int wait_sleep(struct wefti_wait *wait)
{
    wait->deadline = wefti_context_deadline(wait->context, wait->deadline);
    if (!wait_publish(wait)) {
        errno = ECANCELED;
        return -1;
    }
    unsigned queued = 0;
    bool sleeps = true;
    for (; queued < wait->count; queued++) {
        struct wefti_item *item = wefti_wait_item(wait, queued);
        if (item->kind == WEFTI_WORD && !item_queue(item, wait)) {
            sleeps = !wait_claim(wait, CLAIM_ITEM + queued);
            break;
        }
    }
    if (sleeps) /* also when a queued item was woken before a later one could be queued: the unpark is awaited */
        wait_park(wait);
    /* The item by which a waker has claimed the wait he has taken out himself, before the unpark: of that nothing is to be looked at. */
    uint32_t claim = __atomic_load_n(&wait->claim, __ATOMIC_ACQUIRE);
    while (queued-- > 0)
        if (wefti_wait_item(wait, queued)->kind == WEFTI_WORD && claim != CLAIM_ITEM + queued)
            item_unqueue(wefti_wait_item(wait, queued));
    wait_withdraw(wait);
    return wait_outcome(wait);
}

/* The same for one word of the parking lot, which most waits are for. */
static int word_sleep(struct wefti_wait *wait)
{
    struct wefti_item *item = wait->items;
    wait->deadline = wefti_context_deadline(wait->context, wait->deadline);
    if (!wait_publish(wait)) {
        errno = ECANCELED;
        return -1;
    }
    if (item_queue(item, wait) || !wait_claim(wait, CLAIM_ITEM)) {
        wait_rest(wait);
        if (__atomic_load_n(&wait->claim, __ATOMIC_ACQUIRE) != CLAIM_ITEM)
            item_unqueue(item);
    }
    wait_withdraw(wait);
    return wait_outcome(wait);
}

int wefti_direct_wait(struct wefti_wait *wait, weft_time deadline)
{
    struct wefti_context *context = wait->context;
    wait->cancellable = !context->shield;
    wait->deadline = wefti_context_deadline(context, deadline);
    if (__builtin_expect(wait_publish(wait), 1)) {
        wait_rest(wait);
        wait_withdraw(wait);
    } else if (!wait_claim(wait, CLAIM_CANCEL)) {
        context->carrier->rest(context, WEFT_FOREVER);
    }
    return wait_outcome(wait);
}

static bool many_processors; /* constant once the library is loaded */

bool wefti_many_processors(void)
{
    return many_processors;
}

bool wefti_may_spin(void)
{
    const struct wefti_context *context = wefti_context_now;
    return many_processors && !(context && context->spin.rest > WEFTI_SPIN_NEVER / 2);
}

/* Looks at the word for a while. True when it has changed. */
static bool word_spin(struct wefti_context *context, const uint32_t *word, uint32_t expected, weft_time deadline)
{
    if (!wefti_spin_pays(&context->spin))
        return false;
    weft_time now = weft_clock(), most = wefti_spin_time(&context->spin, SPIN_TIME);
    weft_time end = deadline - now < most ? deadline : now + most;
    do {
        for (int i = 0; i < SPIN_LOOKS; i++) {
            if (__atomic_load_n(word, __ATOMIC_ACQUIRE) != expected)
                return wefti_spin_told(&context->spin, true);
            wefti_pause(); /* twice: each look takes the word away from who is to change it */
            wefti_pause();
        }
    } while (weft_clock() < end);
    return wefti_spin_told(&context->spin, false);
}

/* Looks at the words of the wait for a while: the first that has changed, or -1. */
static int items_spin(const struct wefti_wait *wait)
{
    if (!wefti_spin_pays(&wait->context->spin))
        return -1;
    weft_time now = weft_clock();
    weft_time end = wait->deadline - now < SPIN_TIME ? wait->deadline : now + SPIN_TIME;
    int ended;
    do {
        for (int i = 0; i < SPIN_LOOKS; i++)
            wefti_pause();
        ended = items_look(wait);
    } while (ended < 0 && weft_clock() < end);
    wefti_spin_told(&wait->context->spin, ended >= 0);
    return ended;
}

/* 0: woken; 1: the word had changed before it slept; -1 with errno. */
static int word_wait(const uint32_t *word, uint32_t expected, weft_time deadline, bool spin)
{
    if (__atomic_load_n(word, __ATOMIC_ACQUIRE) != expected)
        return 1;
    if (deadline <= WEFT_NOW) {
        errno = EAGAIN;
        return -1;
    }
    struct wefti_context *context = wefti_context_current();
    if (spin && word_spin(context, word, expected, deadline))
        return 1;
    struct wefti_item item = {.kind = word_kind(word), .word = word, .expected = expected, .queued = false};
    struct wefti_wait wait = {.context = context, .items = &item, .count = 1, .deadline = deadline, .cancellable = !context->shield};
    if ((item.kind == WEFTI_WORD ? word_sleep(&wait) : wait_sleep(&wait)) < 0)
        return -1;
    return item.kind == WEFTI_WORD ? item.wait == NULL : item.seen != WEFTI_SEEN_WOKEN;
}

int weft_wait(const uint32_t *word, uint32_t expected, weft_time deadline)
{
    return word_wait(word, expected, deadline, true) < 0 ? -1 : 0;
}

int wefti_wait_quiet(const uint32_t *word, uint32_t expected, weft_time deadline)
{
    return word_wait(word, expected, deadline, false);
}

bool wefti_wait_spin(const uint32_t *word, uint32_t expected, weft_time deadline)
{
    return deadline > WEFT_NOW && word_spin(wefti_context_current(), word, expected, deadline);
}

static bool items_have_descriptor(const struct wefti_wait *wait)
{
    for (unsigned i = 0; i < wait->count; i++)
        if (wefti_wait_item(wait, i)->kind == WEFTI_DESCRIPTOR)
            return true;
    return false;
}

static int items_wait(struct wefti_item *items, unsigned count, size_t stride, weft_time deadline, bool spin)
{
    struct wefti_context *context = wefti_context_current();
    struct wefti_wait wait = {
        .context = context, .items = items, .stride = stride, .count = count, .deadline = deadline, .cancellable = !context->shield};
    int ended = items_look(&wait);
    bool descriptors = items_have_descriptor(&wait);
    if (ended < 0 && spin && deadline > WEFT_NOW && !descriptors)
        ended = items_spin(&wait);
    if (ended >= 0)
        return ended;
    if (deadline > WEFT_NOW)
        return wait_sleep(&wait);
    if (descriptors)
        return wefti_descriptors_look(&wait);
    errno = EAGAIN;
    return -1;
}

int wefti_wait_strided(struct wefti_item *items, unsigned count, size_t stride, weft_time deadline)
{
    return items_wait(items, count, stride, deadline, true);
}

int wefti_wait_items(struct wefti_item *items, unsigned count, weft_time deadline)
{
    return items_wait(items, count, sizeof(*items), deadline, false);
}

/* Takes up to `count` claimed items of the word (NULL: of any) out of the bucket, as a list. */
static struct wefti_item *bucket_take(struct bucket *bucket, const uint32_t *word, uint32_t count, uint32_t *taken)
{
    struct wefti_item *list = NULL, **end = &list;
    for (struct wefti_item *item = bucket->head, *next; item && *taken < count; item = next) {
        next = item->next;
        if ((word && item->word != word) || !lot_claim(item->wait, CLAIM_ITEM + item->number))
            continue;
        bucket_remove(bucket, item);
        item->next = NULL;
        *end = item;
        end = &item->next;
        ++*taken;
    }
    return list;
}

/* The same for the first waiter of one word: the context to unpark, or NULL. */
static struct wefti_context *bucket_take_one(struct bucket *bucket, const uint32_t *word)
{
    for (struct wefti_item *item = bucket->head; item; item = item->next)
        if (item->word == word && lot_claim(item->wait, CLAIM_ITEM + item->number)) {
            bucket_remove(bucket, item);
            return item->wait->context;
        }
    return NULL;
}

static __attribute__((noinline)) uint32_t bucket_wake_one(struct bucket *bucket, const uint32_t *word)
{
    lot_enter(bucket);
    struct wefti_context *context = bucket_take_one(bucket, word);
    lot_leave(bucket);
    if (!context)
        return 0;
    context->carrier->unpark(context);
    return 1;
}

static __attribute__((noinline)) uint32_t bucket_wake(struct bucket *bucket, const uint32_t *word, uint32_t count)
{
    uint32_t taken = 0;
    lot_enter(bucket);
    struct wefti_item *item = bucket_take(bucket, word, count, &taken);
    lot_leave(bucket);
    while (item) { /* an item is gone once its context is unparked */
        struct wefti_context *context = item->wait->context;
        item = item->next;
        context->carrier->unpark(context);
    }
    return taken;
}

/* Does one of the wakes that were put off, or all at once. Only who is settling takes something away. */
static void lot_settle_one(uint32_t owed)
{
    const uint32_t *word = owed > OWED_LIMIT ? NULL : lot_own.words[owed - 1];
    uint32_t count = owed > OWED_LIMIT ? UINT32_MAX : lot_own.counts[owed - 1];
    __atomic_store_n(&lot_own.owed, owed > OWED_LIMIT ? 0 : owed - 1, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (word)
        bucket_wake(bucket_of(word), word, count);
    for (unsigned i = 0; !word && i < 1U << BUCKET_BITS; i++) /* too many to tell: everybody looks again */
        bucket_wake(&buckets[i], NULL, UINT32_MAX);
}

/*
 * Does the wakes that were put off. The thread is outside here, but for the moments in bucket_wake, so handlers add to what is owed only in
 * there, or in their own. Those leave it to this loop while `settling`: hence the look after that.
 */
static void lot_settle(void)
{
    uint32_t owed;
    do {
        lot_own.settling = true;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        while ((owed = __atomic_load_n(&lot_own.owed, __ATOMIC_RELAXED)) > 0)
            lot_settle_one(owed);
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        lot_own.settling = false;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
    } while (__atomic_load_n(&lot_own.owed, __ATOMIC_RELAXED) > 0);
}

/* Out of line, as the others that it may come to: most wakes find nobody, and are to cost no more than that. */
static __attribute__((noinline)) uint32_t shared_wake(const uint32_t *word, uint32_t count)
{
    return wefti_futex_wake_shared(word, count);
}

uint32_t weft_wake(const uint32_t *word, uint32_t count)
{
    if (wefti_is_shared(word))
        return shared_wake(word, count);
    if (__builtin_expect(lot_own.inside, 0)) {
        lot_owe(word, count);
        return 0;
    }
    struct bucket *bucket = bucket_of(word);
    if (wefti_alone() && !bucket->head) /* nobody is about to queue himself either: that would be this thread */
        return 0;
    return count == 1 ? bucket_wake_one(bucket, word) : bucket_wake(bucket, word, count);
}

void wefti_context_cancel(struct wefti_context *context)
{
    wefti_latch_close(&context->guard);
    __atomic_store_n(&context->cancelled, 1, __ATOMIC_RELAXED);
    struct wefti_wait *wait = context->wait;
    bool claimed = wait && wait->cancellable && wait_claim(wait, CLAIM_CANCEL);
    wefti_latch_open(&context->guard);
    if (claimed)
        context->carrier->unpark(context);
}

void wefti_context_uncancel(struct wefti_context *context)
{
    wefti_latch_close(&context->guard);
    __atomic_store_n(&context->cancelled, 0, __ATOMIC_RELAXED);
    wefti_latch_open(&context->guard);
}

/* In a forked child. Only what is not empty is written: to write is to copy a page, and most children find nothing. */
static WEFTI_FORKED void lot_empty(void)
{
    for (size_t i = 0; i < sizeof(buckets) / sizeof(*buckets); i++)
        if (buckets[i].head || buckets[i].tail || __atomic_load_n(&buckets[i].latch.word, __ATOMIC_RELAXED))
            buckets[i] = (struct bucket){.head = NULL};
}

WEFTI_OPENING_WAIT static void lot_open(void)
{
    cpu_set_t set;
    many_processors = sched_getaffinity(0, sizeof(set), &set) != 0 || CPU_COUNT(&set) > 1;
    pthread_atfork(NULL, NULL, lot_empty);
}
