/* SPDX-License-Identifier: MIT */
/*
 * The context of a thread, whoever started it: made at its first call into the library, gone when the thread ends.
 *
 * token, the word a thread sleeps on:
 *   EMPTY     it runs, and nobody has unparked it
 *   GIVEN     it was unparked; the thread takes this back to EMPTY when it leaves its park
 *   SLEEPING  it sleeps in the kernel on the token; set by the thread alone
 *   POLLING   it sleeps in ppoll, with its doorbell among the descriptors; set by the thread alone
 *   RINGING   an unparker writes to the doorbell; the thread may not leave before he has made it GIVEN, as the descriptor must stay open
 *             that long
 * An unparker does nothing after it has stored GIVEN but wake the token's address, so the thread may be gone by then. The store is a
 * release, the thread's load an acquire: what happened before the unpark is seen after the park.
 *
 * A thread that polls and also waits for words that the kernel or another process wakes has these watched (watcher.c); the watcher rings
 * the same doorbell. A context that another process may cancel has a word that its every sleep waits for, beside whatever else; finding it
 * set, the thread cancels itself.
 *
 * The doorbell is an eventfd, made at the first wait for descriptors, closed when the thread ends. A forked child makes its own.
 */

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/memory.h"
#include "base/opening.h"
#include "base/streams.h"
#include "wait/context.h"
#include "wait/parked.h"
#include "wait/watcher.h"

enum token { EMPTY, GIVEN, SLEEPING, POLLING, RINGING };

struct thread_context {
    struct wefti_context context;
    uint32_t token;
    int doorbell; /* -1: none */
};

__thread struct wefti_context *wefti_context_now;
__thread uint32_t wefti_ident_now;
void (*wefti_context_leave_hook)(struct wefti_context *context);

static __thread struct thread_context thread_own;
static pthread_key_t thread_key;
uint32_t wefti_context_idents;
uint32_t wefti_forks;

enum { FEW = 16, FEW_WORDS = 32, LOOK_AGAIN = 5000000 /* ns */ };

static struct thread_context *thread_of(struct wefti_context *context)
{
    return (struct thread_context *)((char *)context - offsetof(struct thread_context, context));
}

/* From `from` to `to` if it is still `from`. */
static bool token_move(struct thread_context *thread, uint32_t from, uint32_t to)
{
    return __atomic_compare_exchange_n(&thread->token, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static uint32_t token_read(struct thread_context *thread)
{
    return __atomic_load_n(&thread->token, __ATOMIC_ACQUIRE);
}

/* Leaves the park with the token taken. */
static int token_take(struct thread_context *thread)
{
    __atomic_store_n(&thread->token, EMPTY, __ATOMIC_RELAXED); /* only the thread itself moves it from GIVEN */
    return 0;
}

static int thread_sleep(struct thread_context *thread, weft_time deadline)
{
    if (!token_move(thread, EMPTY, SLEEPING))
        return token_take(thread);
    for (;;) {
        int error = wefti_futex_wait(&thread->token, SLEEPING, deadline);
        if (token_read(thread) == GIVEN)
            return token_take(thread);
        if (error == ETIMEDOUT) {
            if (!token_move(thread, SLEEPING, EMPTY))
                return token_take(thread);
            errno = ETIMEDOUT;
            return -1;
        }
    }
}

/* Fills in `polls` from the wait's items and gives how many there are. */
static nfds_t descriptors_gather(const struct wefti_wait *wait, struct pollfd *polls)
{
    nfds_t count = 0;
    for (unsigned i = 0; i < wait->count; i++) {
        const struct wefti_item *item = wefti_wait_item(wait, i);
        if (item->kind == WEFTI_DESCRIPTOR)
            polls[count++] = (struct pollfd){.fd = item->descriptor, .events = item->events};
    }
    return count;
}

/* Hands out what poll saw. The index of the first item that is ready, or -1. */
static int descriptors_deal(const struct wefti_wait *wait, const struct pollfd *polls)
{
    int first = -1;
    for (unsigned i = 0; i < wait->count; i++) {
        struct wefti_item *item = wefti_wait_item(wait, i);
        if (item->kind != WEFTI_DESCRIPTOR)
            continue;
        item->seen = (polls++)->revents;
        if (item->seen && first < 0)
            first = (int)i;
    }
    return first;
}

static unsigned kind_count(const struct wefti_wait *wait, enum wefti_item_kind kind)
{
    unsigned count = 0;
    for (unsigned i = 0; i < wait->count; i++)
        count += wefti_wait_item(wait, i)->kind == kind;
    return count;
}

/* Polls once, to the deadline. 1: some are ready; 0: the deadline came; -1 with EINTR, ENOMEM ... */
static int thread_poll(struct pollfd *polls, nfds_t count, weft_time deadline)
{
    struct timespec rest, *limit = NULL;
    if (deadline != WEFT_FOREVER) {
        weft_time left = deadline <= WEFT_NOW ? 0 : deadline - weft_clock();
        left = left < 0 ? 0 : left;
        rest = (struct timespec){.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
        limit = &rest;
    }
    int ready = ppoll(polls, count, limit, NULL);
    return ready > 0 ? 1 : ready;
}

/* Leaves POLLING. True when it was unparked meanwhile: the token is taken and the doorbell silent. */
static bool thread_unpoll(struct thread_context *thread)
{
    if (token_move(thread, POLLING, EMPTY))
        return false;
    while (token_read(thread) != GIVEN)
        sched_yield(); /* the unparker is between two system calls */
    eventfd_t count;
    eventfd_read(thread->doorbell, &count);
    token_take(thread);
    return true;
}

/* The word by which others cancel the context, as long as they have not; or NULL. */
static const uint32_t *thread_watched(const struct thread_context *thread)
{
    const struct wefti_context *context = &thread->context;
    return context->watched && !__atomic_load_n(&context->cancelled, __ATOMIC_RELAXED) ? context->watched : NULL;
}

/* If others have cancelled the context, it does so itself, as they would have: the wait it is in is claimed by that, and its token
 * given. */
static void thread_heed(struct thread_context *thread)
{
    const uint32_t *watched = thread_watched(thread);
    if (watched && __atomic_load_n(watched, __ATOMIC_ACQUIRE) != 0)
        wefti_context_cancel(&thread->context);
}

/* The token first, then the wait's kernel words, then that by which others cancel; `items` says whose. How many there are. */
static unsigned words_gather(
    struct thread_context *thread, const struct wefti_wait *wait, struct futex_waitv *words, struct wefti_item **items)
{
    const struct futex_waitv *first = words;
    *words++ = (struct futex_waitv){.val = SLEEPING, .uaddr = (uintptr_t)&thread->token, .flags = FUTEX_32 | FUTEX_PRIVATE_FLAG};
    for (unsigned i = 0; i < wait->count; i++) {
        struct wefti_item *item = wefti_wait_item(wait, i);
        if (item->kind != WEFTI_KERNEL_WORD)
            continue;
        *words++ = (struct futex_waitv){.val = item->expected, .uaddr = (uintptr_t)item->word, .flags = FUTEX_32};
        *items++ = item;
    }
    const uint32_t *watched = thread_watched(thread);
    if (watched)
        *words++ = (struct futex_waitv){.val = 0, .uaddr = (uintptr_t)watched, .flags = FUTEX_32};
    return (unsigned)(words - first);
}

/* The item among the kernel words that ended the wait: that which was woken, else one that has changed, else NULL. */
static struct wefti_item *words_ended(struct wefti_item **items, unsigned count, long woken)
{
    if (woken > 0 && woken <= (long)count)
        return items[woken - 1];
    for (unsigned i = 0; i < count; i++)
        if (__atomic_load_n(items[i]->word, __ATOMIC_ACQUIRE) != items[i]->expected)
            return items[i];
    return NULL;
}

/*
 * Sleeps on the words, the first of which is the token: which was woken, or minus an errno number. Where the kernel (or a container's
 * filter, or Valgrind) does not know how, it sleeps on the second, which is what whoever changes it wakes and counts, and the others are
 * looked at now and then.
 */
static long words_sleep(const struct futex_waitv *words, unsigned count, weft_time deadline)
{
    long woken = wefti_futex_wait_any(words, count, deadline);
    if (woken != -ENOSYS && woken != -EPERM)
        return woken;
    weft_time soon = weft_clock() + LOOK_AGAIN;
    const uint32_t *word = (const uint32_t *)(uintptr_t)words[1].uaddr; /* NOLINT: it was a pointer before */
    int error = wefti_futex_wait_shared(word, (uint32_t)words[1].val, soon < deadline ? soon : deadline);
    if (error == 0)
        return 1;
    return error == ETIMEDOUT && deadline <= soon ? -ETIMEDOUT : -EAGAIN;
}

/* Lets the words that lie in the arena be known to who sweeps after a death. A thread that cannot have a life sleeps without that. */
static void words_publish(struct wefti_context *context, struct wefti_item *const *items, unsigned count)
{
    const uint32_t *words[FEW_WORDS];
    unsigned shared = 0;
    for (unsigned i = 0; i < count; i++)
        if (wefti_is_shared(items[i]->word))
            words[shared++] = items[i]->word;
    int error = errno;
    if (shared > 0 && wefti_context_life(context))
        wefti_life_sleeps(context->life, words, shared);
    errno = error;
}

/* Sleeps on the token and the kernel words at once. */
static int thread_sleep_words(struct thread_context *thread, const struct wefti_wait *wait, unsigned count)
{
    struct futex_waitv words[FEW_WORDS + 2];
    struct wefti_item *items[FEW_WORDS];
    if (count > FEW_WORDS) {
        errno = EINVAL;
        return -1;
    }
    unsigned all = words_gather(thread, wait, words, items);
    words_publish(&thread->context, items, count);
    if (!token_move(thread, EMPTY, SLEEPING))
        return token_take(thread);
    for (;;) {
        long woken = words_sleep(words, all, wait->deadline);
        struct wefti_item *ended = words_ended(items, count, woken);
        if (all > count + 1) {
            thread_heed(thread);
            all = words_gather(thread, wait, words, items);
        }
        bool timed = woken == -ETIMEDOUT;
        if (!ended && !timed && token_read(thread) == SLEEPING)
            continue;
        if (!token_move(thread, SLEEPING, EMPTY)) {
            if (woken > 0 && ended)
                wefti_futex_wake_shared(ended->word, 1); /* a wake was consumed that another can use */
            return token_take(thread);
        }
        if (ended)
            ended->seen = woken > 0 && woken <= (long)count ? WEFTI_SEEN_WOKEN : WEFTI_SEEN_CHANGED;
        errno = ETIMEDOUT;
        return ended ? 1 : -1;
    }
}

/* The words that others watch while this thread is in ppoll: the wait's, then that by which others cancel. */
struct watched {
    unsigned count; /* the last is `cancel`, if that is not NULL */
    const uint32_t *cancel;
    struct wefti_watch watches[FEW_WORDS + 1];
    struct wefti_item *items[FEW_WORDS];
};

static void watched_add(struct watched *watched, const struct thread_context *thread, const uint32_t *word, uint32_t expected)
{
    watched->watches[watched->count++] = (struct wefti_watch){.word = word, .expected = expected, .doorbell = thread->doorbell};
}

/* None, if the wait has no words and nobody in another process can cancel the context. -1 with ENOMEM, EINVAL. */
static int watched_begin(struct watched *watched, struct thread_context *thread, const struct wefti_wait *wait, unsigned words)
{
    watched->count = 0;
    if (words > FEW_WORDS) {
        errno = EINVAL;
        return -1;
    }
    for (unsigned i = 0; words > 0 && i < wait->count; i++) {
        struct wefti_item *item = wefti_wait_item(wait, i);
        if (item->kind != WEFTI_KERNEL_WORD)
            continue;
        watched->items[watched->count] = item;
        watched_add(watched, thread, item->word, item->expected);
    }
    if (words > 0)
        words_publish(&thread->context, watched->items, words);
    if ((watched->cancel = thread_watched(thread)))
        watched_add(watched, thread, watched->cancel, 0);
    return watched->count > 0 ? wefti_watch_begin(watched->watches, watched->count) : 0;
}

/*
 * Ends the watching. If the wait was ended by words, and by nothing else, tells the first of them; a wake that another word had is another
 * waiter's. True when a word has ended it.
 */
static bool watched_end(struct watched *watched, struct thread_context *thread, bool otherwise)
{
    bool told = otherwise;
    eventfd_t rung;
    if (watched->count == 0)
        return false;
    wefti_watch_end(watched->watches, watched->count);
    eventfd_read(thread->doorbell, &rung);
    for (unsigned i = 0; i < watched->count - (watched->cancel != NULL); i++) {
        uint32_t fired = watched->watches[i].fired;
        if (fired && !told)
            watched->items[i]->seen = (short)fired;
        else if (fired == WEFTI_SEEN_WOKEN)
            wefti_futex_wake_shared(watched->watches[i].word, 1);
        told |= fired != 0;
    }
    return told && !otherwise;
}

/* Polls until something is there, or the deadline. 1: a descriptor; 0: the time; -1 with errno; 2: the doorbell alone. */
static int polling_round(struct thread_context *thread, const struct wefti_wait *wait, struct pollfd *polls, nfds_t count)
{
    for (;;) {
        int ready = thread_poll(polls, count + 1, wait->deadline);
        if (ready < 0 && errno == EINTR && token_read(thread) == POLLING)
            continue;
        return ready == 1 && polls[count].revents ? 2 : ready;
    }
}

/* With what is watched: as park. */
static int thread_sleep_polling(struct thread_context *thread, const struct wefti_wait *wait, struct pollfd *polls, unsigned words)
{
    struct watched watched;
    nfds_t count = descriptors_gather(wait, polls);
    polls[count] = (struct pollfd){.fd = thread->doorbell, .events = POLLIN};
    if (watched_begin(&watched, thread, wait, words) != 0)
        return -1;
    if (!token_move(thread, EMPTY, POLLING)) {
        watched_end(&watched, thread, true);
        return token_take(thread);
    }
    int ready = polling_round(thread, wait, polls, count), error = errno;
    if (watched.cancel)
        thread_heed(thread);
    bool unparked = thread_unpoll(thread);
    bool dealt = ready > 0 && descriptors_deal(wait, polls) >= 0;
    bool word = watched_end(&watched, thread, unparked || dealt);
    if (unparked)
        return 0;
    errno = ready == 0 ? ETIMEDOUT : error;
    return dealt || word ? 1 : ready == 2 ? 2 : -1;
}

static bool thread_doorbell(struct thread_context *thread)
{
    if (thread->doorbell < 0 && !wefti_fails())
        thread->doorbell = wefti_beside_streams(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (thread->doorbell < 0)
        errno = EMFILE;
    return thread->doorbell >= 0;
}

static int thread_park(struct wefti_context *self, const struct wefti_wait *wait)
{
    struct thread_context *thread = thread_of(self);
    unsigned count = kind_count(wait, WEFTI_DESCRIPTOR);
    unsigned words = kind_count(wait, WEFTI_KERNEL_WORD);
    if (count == 0 && (words > 0 || thread_watched(thread))) {
        int parked = thread_sleep_words(thread, wait, words);
        if (self->life)
            wefti_life_wakes(self->life);
        return parked;
    }
    if (count == 0)
        return thread_sleep(thread, wait->deadline);
    if (!thread_doorbell(thread))
        return -1;
    struct pollfd few[FEW + 1];
    struct pollfd *polls = count <= FEW ? few : wefti_alloc_raw((count + 1) * sizeof(*polls));
    if (!polls)
        return -1;
    int parked;
    do /* again, when it was rung for nothing */
        parked = thread_sleep_polling(thread, wait, polls, words);
    while (parked == 2);
    if (words > 0 && self->life)
        wefti_life_wakes(self->life);
    if (polls != few)
        wefti_release(polls);
    return parked;
}

static int thread_rest(struct wefti_context *self, weft_time deadline)
{
    struct thread_context *thread = thread_of(self);
    if (!thread_watched(thread))
        return thread_sleep(thread, deadline);
    struct wefti_wait wait = {.context = self, .deadline = deadline};
    return thread_park(self, &wait);
}

static void thread_unpark(struct wefti_context *context)
{
    struct thread_context *thread = thread_of(context);
    for (;;) {
        uint32_t token = token_read(thread);
        if (token == POLLING) {
            if (!token_move(thread, POLLING, RINGING))
                continue;
            int saved = errno;
            eventfd_write(thread->doorbell, 1);
            errno = saved;
            __atomic_store_n(&thread->token, GIVEN, __ATOMIC_RELEASE);
            return;
        }
        if (!token_move(thread, token, GIVEN))
            continue;
        if (token == SLEEPING)
            wefti_futex_wake(&thread->token, 1);
        return;
    }
}

static void thread_yield(struct wefti_context *self)
{
    (void)self;
    sched_yield();
}

static const struct wefti_carrier thread_carrier = {
    .park = thread_park, .rest = thread_rest, .unpark = thread_unpark, .yield = thread_yield};

int wefti_descriptors_look(const struct wefti_wait *wait)
{
    unsigned count = kind_count(wait, WEFTI_DESCRIPTOR);
    struct pollfd few[FEW];
    struct pollfd *polls = count <= FEW ? few : wefti_alloc_raw(count * sizeof(*polls));
    if (!polls)
        return -1;
    int ready, first = -1;
    nfds_t gathered = descriptors_gather(wait, polls);
    do
        ready = thread_poll(polls, gathered, WEFT_NOW);
    while (ready < 0 && errno == EINTR);
    if (ready > 0)
        first = descriptors_deal(wait, polls);
    else if (ready == 0)
        errno = EAGAIN;
    if (polls != few)
        wefti_release(polls);
    return first;
}

/* The key's destructor. Another key's destructor may call the library again: then the context is made anew and this comes once more. */
static void thread_leave(void *own)
{
    struct thread_context *thread = own;
    if (wefti_context_leave_hook)
        wefti_context_leave_hook(&thread->context);
    if (thread->doorbell >= 0)
        close(thread->doorbell);
    wefti_life_end(thread->context.life);
    wefti_context_switch(NULL);
}

__attribute__((noinline)) struct wefti_context *wefti_context_enter(void)
{
    struct thread_context *thread = &thread_own;
    wefti_context_prepare(&thread->context, &thread_carrier);
    thread->token = EMPTY;
    thread->doorbell = -1;
    wefti_context_switch(&thread->context);
    pthread_setspecific(thread_key, thread); /* fails only without memory: then the doorbell, if one is made, stays open */
    return &thread->context;
}

uint32_t wefti_ident(void)
{
    return wefti_context_current()->ident;
}

void wefti_shield_raise(void)
{
    wefti_context_current()->shield++;
}

void wefti_shield_lower(void)
{
    wefti_context_current()->shield--;
}

void wefti_yield(void)
{
    struct wefti_context *context = wefti_context_current();
    context->carrier->yield(context);
}

/* In a forked child: the thread that forked is alone, and its doorbell is shared with the parent. */
static WEFTI_FORKED void thread_forked(void)
{
    wefti_forks++;
    struct thread_context *thread = &thread_own;
    if (!wefti_context_now)
        return;
    thread->context.guard = (struct wefti_latch){0};
    thread->context.life = NULL; /* the parent's */
    if (thread->doorbell >= 0)
        close(thread->doorbell);
    thread->doorbell = -1;
}

WEFTI_OPENING_WAIT static void thread_open(void)
{
    pthread_key_create(&thread_key, thread_leave);
    pthread_atfork(NULL, NULL, thread_forked);
}
