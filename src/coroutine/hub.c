/* SPDX-License-Identifier: MIT */
/*
 * The hub: the coroutines of one thread, and how they take turns.
 *
 * A thread gets its hub with its first coroutine and has it until it ends. Its flows are its coroutines and what the thread does itself,
 * its home; each is a context, and to `wait` all are alike. There is no flow that schedules: who parks or yields looks who is next and
 * switches to that one; if there is nobody, it sleeps in the kernel for all of them, on its own stack. Who ends does the same, and is
 * cleared away by who comes next, as no one can give back the stack he stands on.
 *
 * Only the hub's thread touches the hub and its flows, but for the inbox: a list of notes, of which a flow has two, one for its unpark, one
 * for its kernel words. Each is there at most once: a claim brings one unpark, and a wait for words one note, and the park does not return
 * before it has come.
 *
 * inbox:
 *   NULL      empty
 *   SLEEPS    empty, and the thread sleeps, or is about to, on the lower half of this word
 *   POLLS     empty, and it sleeps in epoll
 *   RINGING   empty; somebody is ringing epoll's bell, and puts his note here afterwards
 *   else      the note that was put in last; each has that before it
 * Who puts in a note does it by compare-and-swap. If he replaces SLEEPS he wakes the word's address, and touches nothing but that address:
 * from the moment when the note was there the flow may go on and end, and the thread and its hub with it. POLLS he replaces by RINGING,
 * rings, and puts in his note last, as the bell has to be open that long. The thread takes all notes at once, but not while it finds
 * RINGING, and moves NULL to SLEEPS or POLLS; both by compare-and-swap, so no note is overlooked. Release of the note's writer, acquire of
 * the thread's taking: what happened before an unpark is seen after the park.
 *
 * A wake from the hub's own thread needs none of that: it goes into the run queue. Only in a signal handler it may have interrupted the
 * hub's own work on the queue: `inside` says so, and then it goes to the inbox too. Both run on one thread: signal fences are enough.
 *
 * Fair: each TURNS switches, whoever is about to switch looks at the inbox, at the time and at the descriptors, which puts those who are
 * ready at the end of the queue. So a coroutine that never waits, but yields, holds up nobody for longer; one that neither waits nor yields
 * holds up all, as it must.
 *
 * The thread's own context is carried by its hub while there are coroutines, and again by itself afterwards. It changes over when no unpark
 * can be on its way: when it starts one, after a park that an unpark has ended, or when the wait of one that something else has ended is
 * its own (settled).
 *
 * A hub that is lent to another loop (weft_hub_fd) looks asleep to everybody while the thread is in that loop: the inbox is POLLS, epoll's
 * descriptor has a clock that is set to the first deadline, and who makes a flow ready on the thread itself rings the bell, too.
 *
 * A seed (WEFT_SEED, read when the hub is made): who runs next is then one of the first CHOICE of the queue, told by a generator of
 * numbers, and the thread has a time of its own (base/clock.h), which starts as the machine's and moves by a microsecond with each look,
 * and to the first deadline when nobody can run. If nobody else can make somebody ready (one thread, no descriptor waited for), that takes
 * no time; else the hub sleeps for as long as the step is, and moves on by what it has slept: to the deadline, if nothing came. So who runs
 * when follows from the seed and from what the coroutines do, as long as they wait for time and for each other only, be it through pipes
 * and local sockets: the kernel reports these in the order in which they became ready, which one thread does. Such a hub goes on carrying
 * its thread when there are no coroutines, as only it knows that time.
 *
 * Coroutines never change threads. So a thread-local's address stays right across a switch, and errno is kept for each flow.
 *
 * fork: in the child there is the flow that forked, and no other; if that is a coroutine, its end ends the process, as that of the last
 * thread does.
 */

#include "coroutine/hub.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alone.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/opening.h"
#include "coroutine/overflow.h"
#include "coroutine/change.h"
#include "coroutine/words.h"
#include "hint.h"
#include <weft/coroutine.h>

#ifdef WEFTI_SMALL
enum { TURNS = 3, SPIN_TIME = 2000 };
#else
enum { TURNS = 64, SPIN_TIME = 20000 /* ns */ };
#endif
enum {
    SPIN_LOOKS = 8,
    CHOICE = 4,
    SLEEP_SLACK = 10000 /* ns that a sleep to its end may be short of it, as each look at the clock takes some */
};

#define SLEEPS ((struct wefti_note *)1)
#define POLLS ((struct wefti_note *)3)
#define RINGING ((struct wefti_note *)5)

/* libstdc++'s record of the exceptions that a thread is handling; NULL where the program has no C++. */
extern void **__cxa_get_globals(void) __attribute__((weak));

const char *(*wefti_coroutine_name)(const struct wefti_context *context);

static __thread struct wefti_hub *hub_own;

__attribute__((noinline)) struct wefti_hub *wefti_hub_now(void)
{
    return hub_own;
}

static void hub_enter(struct wefti_hub *hub)
{
    hub->inside = 1;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static void hub_leave(struct wefti_hub *hub)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    hub->inside = 0;
}

/* The run queue; inside. */

static void queue_add(struct wefti_hub *hub, struct wefti_flow *flow)
{
    flow->next = NULL;
    *(hub->first ? &hub->last->next : &hub->first) = flow;
    hub->last = flow;
    flow->queued = true;
}

/* The next number of a hub with a seed (S. Vigna's splitmix64). */
static uint64_t hub_number(struct wefti_hub *hub)
{
    uint64_t number = hub->seed += UINT64_C(0x9e3779b97f4a7c15);
    hub->seed += hub->seed == 0;
    number = (number ^ (number >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    number = (number ^ (number >> 27)) * UINT64_C(0x94d049bb133111eb);
    return number ^ (number >> 31);
}

/* One of the first few. */
static struct wefti_flow *queue_choose(struct wefti_hub *hub)
{
    uint64_t steps = hub_number(hub) % CHOICE;
    struct wefti_flow *before = NULL, *flow = hub->first;
    for (; steps > 0 && flow->next; steps--) {
        before = flow;
        flow = flow->next;
    }
    *(before ? &before->next : &hub->first) = flow->next;
    if (hub->last == flow)
        hub->last = before;
    flow->queued = false;
    return flow;
}

static struct wefti_flow *queue_take(struct wefti_hub *hub)
{
    struct wefti_flow *flow = hub->first;
    if (__builtin_expect(hub->seed != 0, 0))
        return queue_choose(hub);
    hub->first = flow->next;
    flow->queued = false;
    return flow;
}

void wefti_flow_ready(struct wefti_flow *flow)
{
    if (!flow->queued)
        queue_add(flow->hub, flow);
}

/* The inbox. */

static bool inbox_move(struct wefti_hub *hub, struct wefti_note *from, struct wefti_note *to)
{
    return __atomic_compare_exchange_n(&hub->inbox, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static bool inbox_has_notes(const struct wefti_hub *hub)
{
    return ((uintptr_t)__atomic_load_n(&hub->inbox, __ATOMIC_RELAXED) & ~(uintptr_t)7) != 0;
}

/* The half that the kernel compares. */
static const uint32_t *inbox_word(struct wefti_hub *hub)
{
    return (const uint32_t *)(const void *)&hub->inbox + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
}

__attribute__((noinline)) void wefti_note_post(struct wefti_note *note)
{
    struct wefti_hub *hub = note->flow->hub;
    const uint32_t *word = inbox_word(hub);
    for (;;) {
        struct wefti_note *head = __atomic_load_n(&hub->inbox, __ATOMIC_RELAXED);
        if (head == POLLS) {
            int error = errno;
            if (inbox_move(hub, POLLS, RINGING))
                wefti_descriptors_ring(&hub->descriptors);
            errno = error;
            continue;
        }
        note->next = head == SLEEPS || head == RINGING ? NULL : head;
        if (!inbox_move(hub, head, note))
            continue;
        if (head == SLEEPS)
            wefti_futex_wake(word, 1);
        return;
    }
}

/* What a note says to its flow; inside. */
static void note_deliver(struct wefti_note *note)
{
    struct wefti_flow *flow = note->flow;
    *(note == &flow->unparked ? &flow->given : &flow->words_got) = true;
    if (flow->parked)
        wefti_flow_ready(flow);
}

/* All notes, the last first; NULL: there are none. Not by a plain exchange: a thread that has just slept may find POLLS become RINGING. */
static struct wefti_note *inbox_take(struct wefti_hub *hub)
{
    struct wefti_note *note = __atomic_load_n(&hub->inbox, __ATOMIC_RELAXED);
    while (note == RINGING || !__atomic_compare_exchange_n(&hub->inbox, &note, NULL, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        if (note == RINGING) { /* the ringer is between a system call and his note */
            sched_yield();
            note = __atomic_load_n(&hub->inbox, __ATOMIC_RELAXED);
        }
    return note == SLEEPS || note == POLLS ? NULL : note;
}

/* Delivers all notes, in the order in which they came. */
static void inbox_empty(struct wefti_hub *hub)
{
    struct wefti_note *ordered = NULL, *note = inbox_take(hub);
    while (note) {
        struct wefti_note *before = note->next;
        note->next = ordered;
        ordered = note;
        note = before;
    }
    while (ordered) {
        note = ordered;
        ordered = note->next;
        note_deliver(note);
    }
}

/* Time and descriptors; inside. */

static void hub_look_at_time(struct wefti_hub *hub)
{
    weft_time now = weft_clock();
    for (struct wefti_moment *moment; (moment = hub->moments.first) && moment->at <= now;) {
        struct wefti_flow *flow = (struct wefti_flow *)((char *)moment - offsetof(struct wefti_flow, moment));
        wefti_moments_remove(&hub->moments, moment);
        flow->late = true;
        wefti_flow_ready(flow);
    }
}

static void flow_ready_of(struct wefti_wait *wait)
{
    struct wefti_flow *flow = wait->context->flow;
    flow->seen = true;
    if (flow->parked) /* else it is just taking back what it waited for, and this came first */
        wefti_flow_ready(flow);
}

/* Looks who can go on, without a look at the descriptors. */
static void hub_look_inside(struct wefti_hub *hub)
{
    if (__atomic_load_n(&hub->inbox, __ATOMIC_RELAXED))
        inbox_empty(hub);
    if (hub->moments.first)
        hub_look_at_time(hub);
}

static void hub_set_turns(struct wefti_hub *hub, uint32_t turns)
{
    hub->turns = turns;
    hub->looks++;
}

/* Looks who can go on. */
static void hub_look(struct wefti_hub *hub)
{
    hub_set_turns(hub, TURNS);
    hub->now = wefti_clock_coarse();
    hub_look_inside(hub);
    if (hub->descriptors.waiting > 0 || hub->lent)
        wefti_descriptors_poll(&hub->descriptors, WEFT_NOW);
    hub->rung = false;
}

/* Looks at the inbox for a while. True when there is something. */
static bool hub_spin(struct wefti_hub *hub, weft_time until)
{
    if (!wefti_spin_pays(&hub->spin))
        return false;
    weft_time now = weft_clock();
    weft_time end = until - now < SPIN_TIME ? until : now + SPIN_TIME;
    do {
        for (int i = 0; i < SPIN_LOOKS; i++) {
            if (inbox_has_notes(hub))
                return wefti_spin_told(&hub->spin, true);
            wefti_pause();
        }
    } while (weft_clock() < end);
    return wefti_spin_told(&hub->spin, false);
}

/* Sleeps until somebody may go on, or the moment: `until` as weft_clock tells it, and `real` as the machine does. */
static void hub_sleep_until(struct wefti_hub *hub, weft_time until, weft_time real, bool polls)
{
    if (!inbox_move(hub, NULL, polls ? POLLS : SLEEPS))
        return;
    if (polls) {
        wefti_descriptors_poll(&hub->descriptors, until);
        hub_set_turns(hub, TURNS);
        hub->rung = false;
    } else
        wefti_futex_wait(inbox_word(hub), (uint32_t)(uintptr_t)SLEEPS, real);
}

/*
 * The same in a thread that has a time of its own, which goes to the moment, or as far as the sleep was long. What is ready without a sleep
 * follows from what the coroutines did, where they have both ends: that takes no time, as how long it took would differ from run to run.
 */
static void hub_sleep_seeded(struct wefti_hub *hub, weft_time until, bool polls)
{
    weft_time own = wefti_clock_own;
    if (until != WEFT_FOREVER && !polls && wefti_alone()) {
        wefti_clock_own = until > own ? until : own;
        return;
    }
    if (polls)
        wefti_descriptors_poll(&hub->descriptors, WEFT_NOW);
    if (hub->first)
        return;
    weft_time real = wefti_clock_real();
    hub_sleep_until(hub, until, until == WEFT_FOREVER ? until : real + (until - own), polls);
    weft_time slept = wefti_clock_real() - real;
    wefti_clock_own = until - own < slept + SLEEP_SLACK && until > own ? until : own + slept;
}

/* Nobody can go on: sleeps until somebody may. */
static void hub_sleep(struct wefti_hub *hub)
{
    weft_time until = hub->moments.first ? hub->moments.first->at : WEFT_FOREVER;
    bool polls = hub->descriptors.waiting > 0;
    if (__builtin_expect(wefti_clock_own != 0, 0))
        hub_sleep_seeded(hub, until, polls);
    else if (polls || !hub_spin(hub, until))
        hub_sleep_until(hub, until, until, polls);
    hub->now = wefti_clock_coarse();
}

/* Who runs next, when that is not just the first of the queue. */
static __attribute__((noinline)) struct wefti_flow *hub_next_slowly(struct wefti_hub *hub)
{
    if (hub->turns == 0)
        hub_look(hub);
    if (!hub->first)
        hub_look_inside(hub);
    while (!hub->first) {
        hub_sleep(hub); /* which looks at the descriptors, if somebody waits for any */
        hub_look_inside(hub);
    }
    return queue_take(hub);
}

/* Who runs next, taken from the queue. */
static inline struct wefti_flow *hub_next(struct wefti_hub *hub)
{
    struct wefti_flow *flow = hub->first;
    if (__builtin_expect(--hub->turns == 0 || !flow || hub->seed != 0, 0))
        return hub_next_slowly(hub);
    hub->first = flow->next;
    flow->queued = false;
    return flow;
}

/* Flows; inside. */

static struct wefti_coroutine *coroutine_of(struct wefti_flow *flow)
{
    return (struct wefti_coroutine *)((char *)flow - offsetof(struct wefti_coroutine, flow));
}

/* The flow has just been switched to: what every one of them does first. */
static inline void flow_arrive(struct wefti_flow *flow, struct wefti_flow *from)
{
    struct wefti_hub *hub = flow->hub;
    wefti_told_arrive(&flow->told, &from->told);
    wefti_context_switch(flow->context);
    if (hub->exceptions) {
        hub->exceptions[0] = flow->exceptions[0];
        hub->exceptions[1] = flow->exceptions[1];
    }
    if (hub->dead) {
        struct wefti_flow *dead = hub->dead;
        hub->dead = NULL;
        wefti_told_end(&dead->told);
        wefti_stack_give(&coroutine_of(dead)->stack);
    }
}

/* Into each who switches: so each has a jump of its own, which the processor predicts by where it is. */
static inline __attribute__((always_inline)) void flow_switch(struct wefti_flow *from, struct wefti_flow *to)
{
    struct wefti_hub *hub = from->hub;
    if (hub->exceptions) {
        from->exceptions[0] = hub->exceptions[0];
        from->exceptions[1] = hub->exceptions[1];
    }
    wefti_told_leave(&from->told, &to->told, false);
    hub->current = to;
    struct wefti_flow *last = wefti_switch(&from->sp, to->sp, from);
    flow_arrive(from, last);
}

/* Lets others run until somebody makes this flow ready. */
static void flow_sleep(struct wefti_flow *flow)
{
    flow->parked = true;
    struct wefti_flow *next = hub_next(flow->hub);
    if (next != flow)
        flow_switch(flow, next);
    flow->parked = false;
}

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
        flow_sleep(flow);
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
        flow_sleep(flow);
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
        added = wefti_words_add(flow, wait);
    if (added == 0)
        added = wefti_words_add(flow, watch);
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

static __attribute__((noinline)) int flow_park(struct wefti_flow *flow, const struct wefti_wait *wait)
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

/* After the last coroutine the thread is carried as it was before. */
static __attribute__((noinline)) void hub_stand_by(struct wefti_hub *hub)
{
    if (wefti_clock_own != 0)
        return;
    hub->home.context->carrier = hub->home_carrier;
    hub->home.context->spin.rest = hub->home.context->lock_spin.rest = 0;
    if (!hub->lent && hub->descriptors.events)
        wefti_descriptors_end(&hub->descriptors);
}

/* The thread itself goes on, and may go back to the loop that the hub is lent to. */
static __attribute__((noinline)) void hub_lend(struct wefti_hub *hub)
{
    wefti_descriptors_alarm(&hub->descriptors, hub->moments.first ? hub->moments.first->at : WEFT_FOREVER);
    wefti_descriptors_flush(&hub->descriptors);
    inbox_move(hub, NULL, POLLS);
    if ((hub->first || inbox_has_notes(hub)) && !hub->rung) {
        hub->rung = true;
        wefti_descriptors_ring(&hub->descriptors);
    }
}

/* The flow leaves what it did in here. */
static inline void flow_leave(struct wefti_flow *flow)
{
    struct wefti_hub *hub = flow->hub;
    if (__builtin_expect(hub->lent, 0) && flow == &hub->home)
        hub_lend(hub);
    hub_leave(hub);
}

static int hub_park(struct wefti_context *self, const struct wefti_wait *wait)
{
    struct wefti_flow *flow = self->flow;
    struct wefti_hub *hub = flow->hub;
    int error = *hub->error;
    hub_enter(hub);
    flow->since = hub->now;
    int parked = flow_park(flow, wait);
    if (parked == 0 && hub->alive == 0) /* else an unpark may be on its way here still: see hub_settled */
        hub_stand_by(hub);
    flow_leave(flow);
    if (parked >= 0)
        *hub->error = error;
    return parked;
}

/* The same for the commonest of waits, that only an unpark ends. */
static int hub_rest(struct wefti_context *self, weft_time deadline)
{
    struct wefti_flow *flow = self->flow;
    struct wefti_hub *hub = flow->hub;
    if (__builtin_expect(deadline != WEFT_FOREVER || self->watched, 0)) {
        struct wefti_wait wait = {.context = self, .deadline = deadline};
        return hub_park(self, &wait);
    }
    int error = *hub->error;
    hub_enter(hub);
    flow->since = hub->now;
    flow->parked = true;
    while (!flow->given) {
        struct wefti_flow *next = hub_next(hub);
        if (next != flow)
            flow_switch(flow, next);
    }
    flow->parked = flow->given = false;
    if (hub->alive == 0)
        hub_stand_by(hub);
    flow_leave(flow);
    *hub->error = error;
    return 0;
}

static void hub_unpark(struct wefti_context *context)
{
    struct wefti_flow *flow = context->flow;
    struct wefti_hub *hub = flow->hub;
    if (hub != hub_own || hub->inside) {
        wefti_note_post(&flow->unparked);
        return;
    }
    hub_enter(hub);
    flow->given = true;
    if (flow->parked)
        wefti_flow_ready(flow);
    flow_leave(hub->current);
}

static void hub_yield(struct wefti_context *self)
{
    struct wefti_flow *flow = self->flow;
    struct wefti_hub *hub = flow->hub;
    int error = *hub->error;
    hub_enter(hub);
    queue_add(hub, flow);
    struct wefti_flow *next = hub_next(hub);
    if (next != flow)
        flow_switch(flow, next);
    else if (hub->turns == TURNS)
        sched_yield(); /* nobody here wants to run: for long enough to ask other threads */
    if (hub->alive == 0)
        hub_stand_by(hub); /* it is in no wait */
    flow_leave(flow);
    *hub->error = error;
}

/* The last coroutine may have ended in a wait of the thread's own that ran out. */
static void hub_settled(struct wefti_context *self)
{
    struct wefti_flow *flow = self->flow;
    struct wefti_hub *hub = flow->hub;
    if (hub->alive > 0)
        return;
    hub_enter(hub);
    hub_stand_by(hub);
    flow_leave(flow);
}

static const struct wefti_carrier hub_carrier = {
    .park = hub_park, .rest = hub_rest, .unpark = hub_unpark, .yield = hub_yield, .settled = hub_settled};

/* Coroutines. */

static void coroutine_end(struct wefti_coroutine *coroutine)
{
    struct wefti_hub *hub = coroutine->flow.hub;
    if (coroutine->context.life)
        wefti_life_end(coroutine->context.life);
    if (hub->orphan == &coroutine->flow)
        exit(EXIT_SUCCESS);
    hub_enter(hub);
    if (--hub->alive == 0 && hub->finishing)
        wefti_flow_ready(&hub->home);
    struct wefti_flow *next = hub_next(hub);
    hub->dead = &coroutine->flow;
    hub->current = next;
    wefti_told_leave(&coroutine->flow.told, &next->told, true);
    wefti_jump(next->sp, &coroutine->flow);
}

/* Where a coroutine begins, on its own stack. */
static void coroutine_main(void *data)
{
    struct wefti_flow *from = data;
    struct wefti_hub *hub = from->hub;
    struct wefti_coroutine *coroutine = coroutine_of(hub->current);
    flow_arrive(&coroutine->flow, from);
    hub_leave(hub);
    coroutine->function(coroutine->data);
    coroutine_end(coroutine);
}

static void flow_begin(struct wefti_flow *flow, struct wefti_hub *hub, struct wefti_context *context)
{
    wefti_zero(flow, sizeof(*flow) - sizeof(*flow) % 8);
    flow->hub = hub;
    flow->context = context;
    flow->unparked.flow = flow->worded.flow = flow;
    context->flow = flow;
}

/* A coroutine that has not run. NULL with EINVAL, ENOMEM. */
static struct wefti_coroutine *coroutine_make(struct wefti_hub *hub, size_t stack_size)
{
    struct wefti_stack *stack = wefti_stack_take(&hub->stacks, stack_size);
    if (!stack)
        return NULL;
    struct wefti_coroutine *coroutine = (struct wefti_coroutine *)(void *)((char *)stack - offsetof(struct wefti_coroutine, stack));
    wefti_context_prepare(&coroutine->context, &hub_carrier);
    coroutine->context.spin.rest = coroutine->context.lock_spin.rest = WEFTI_SPIN_NEVER; /* others may run meanwhile */
    flow_begin(&coroutine->flow, hub, &coroutine->context);
    void *top = (void *)((uintptr_t)coroutine & ~(uintptr_t)15);
    wefti_told_begin(&coroutine->flow.told, stack->bottom, stack + 1);
    coroutine->flow.sp = wefti_frame_make(top, coroutine_main);
    return coroutine;
}

/* Takes the seed that the environment has. Hubs differ by their number. */
static void hub_take_seed(struct wefti_hub *hub)
{
    static uint32_t hubs;
    uint32_t number = wefti_count(&hubs, 1);
    const char *seed = getenv("WEFT_SEED");
    if (!seed || !*seed)
        return;
    hub->seed = strtoull(seed, NULL, 10) * UINT64_C(0xd1342543de82ef95) + number;
    hub->seed += hub->seed == 0;
    wefti_clock_own = wefti_clock_real();
}

/* Makes the calling thread's hub. NULL with ENOMEM, EINVAL (WEFT_IO names no back end). */
static __attribute__((noinline)) struct wefti_hub *hub_make(void)
{
    struct wefti_context *context = wefti_context_current();
    const struct wefti_backend *backend = wefti_backend_chosen();
    struct wefti_hub *hub = backend ? wefti_alloc(sizeof(*hub)) : NULL;
    if (!hub)
        return NULL;
    *hub = (struct wefti_hub){.turns = TURNS, .current = &hub->home, .error = &errno, .home_carrier = context->carrier};
    hub->thread = gettid();
    hub->now = wefti_clock_coarse();
    hub->exceptions = __cxa_get_globals ? __cxa_get_globals() : NULL;
    hub_take_seed(hub);
    wefti_descriptors_begin(&hub->descriptors, hub->seed ? &wefti_backend_epoll : backend, flow_ready_of);
    flow_begin(&hub->home, hub, context);
    wefti_told_home(&hub->home.told);
    wefti_overflow_watch(hub);
    wefti_blocked_add(hub);
    return hub_own = hub;
}

/* The calling thread's hub, made if there is none. NULL with ENOMEM, EINVAL. */
static struct wefti_hub *hub_get(void)
{
    return hub_own ? hub_own : hub_make();
}

int wefti_coroutine_start(size_t stack_size, void (*function)(void *data), void *data)
{
    struct wefti_hub *hub = hub_get();
    if (!hub)
        return -1;
    hub_enter(hub);
    struct wefti_coroutine *coroutine = coroutine_make(hub, stack_size);
    if (coroutine) {
        coroutine->function = function;
        coroutine->data = data;
        if (hub->alive++ == 0) { /* so it is the thread itself that runs, and it is in no wait */
            hub->home.context->carrier = &hub_carrier;
            hub->home.context->spin.rest = hub->home.context->lock_spin.rest = WEFTI_SPIN_NEVER;
        }
        queue_add(hub, &coroutine->flow);
    }
    flow_leave(hub->current);
    return coroutine ? hub->thread : -1;
}

bool wefti_context_is_coroutine(const struct wefti_context *context)
{
    const struct wefti_flow *flow = context->flow;
    return flow && flow != &flow->hub->home;
}

size_t wefti_coroutines_alive(void)
{
    const struct wefti_hub *hub = wefti_hub_now();
    return hub ? hub->alive : 0;
}

int wefti_hub_thread(void)
{
    const struct wefti_hub *hub = wefti_hub_now();
    return hub ? hub->thread : 0;
}

/* Read in passing, while the hub's thread writes: each field for itself is one load, and a value in between does no harm. So
 * ThreadSanitizer is not to watch. */
__attribute__((no_sanitize("thread"))) uint64_t wefti_hub_progress(const struct wefti_hub *hub)
{
    const volatile struct wefti_hub *seen = hub;
    const struct wefti_note *inbox = seen->inbox;
    bool rests = inbox == SLEEPS || inbox == POLLS || (seen->current == &hub->home && seen->alive == 0);
    return rests ? 0 : (uint64_t)seen->looks << 32 | seen->turns;
}

void wefti_hub_finish(void)
{
    struct wefti_hub *hub = wefti_hub_now();
    if (!hub)
        return;
    hub_enter(hub);
    hub->finishing = true;
    hub->lent = false;
    while (hub->alive > 0)
        flow_sleep(&hub->home);
    wefti_clock_own = 0;
    hub_stand_by(hub);
    hub->home.context->flow = NULL;
    hub_own = NULL;
    wefti_blocked_remove(hub);
    wefti_overflow_unwatch(hub);
    wefti_stacks_end(&hub->stacks);
    wefti_release(hub);
}

void wefti_hub_close(struct wefti_hub *hub, int descriptor)
{
    hub_enter(hub);
    wefti_descriptors_close(&hub->descriptors, descriptor);
    flow_leave(hub->current);
}

int weft_hub_fd(void)
{
    struct wefti_hub *hub = hub_get();
    if (!hub || wefti_descriptors_lend(&hub->descriptors) != 0)
        return -1;
    hub_enter(hub);
    wefti_clock_own = 0; /* the other loop has the machine's time */
    hub->lent = true;
    flow_leave(hub->current);
    return hub->descriptors.epoll;
}

size_t weft_hub_run_once(void)
{
    struct wefti_hub *hub = wefti_hub_now();
    if (!hub || hub->current != &hub->home)
        return 0;
    hub_set_turns(hub, 1); /* so that it looks */
    hub_yield(hub->home.context);
    return hub->alive;
}

enum weft_flow weft_flow_here(void)
{
    const struct wefti_hub *hub = wefti_hub_now();
    if (!hub || hub->inside || hub->alive == 0)
        return WEFT_FLOW_NONE;
    if (hub->current != &hub->home) {
        const struct wefti_coroutine *coroutine = coroutine_of(hub->current);
        uintptr_t here = (uintptr_t)__builtin_frame_address(0);
        if (here < (uintptr_t)coroutine->stack.bottom || here >= (uintptr_t)coroutine)
            return WEFT_FLOW_NONE;
    }
    if (gettid() != hub->thread) /* a child of vfork has this thread's memory, its thread-locals included */
        return WEFT_FLOW_NONE;
    return hub->current == &hub->home ? WEFT_FLOW_THREAD : WEFT_FLOW_COROUTINE;
}

/* In a forked child: the flow that forked is all there is. */
static void hub_forked(void)
{
    struct wefti_hub *hub = hub_own;
    wefti_blocked_forked(hub);
    if (!hub)
        return;
    hub->thread = gettid();
    hub->inbox = NULL;
    hub->first = NULL;
    hub->moments.first = NULL;
    hub->orphan = hub->current != &hub->home ? hub->current : NULL;
    hub->alive = hub->orphan != NULL;
    hub->lent = false;
    wefti_descriptors_end(&hub->descriptors);
    if (hub->orphan) {
        hub->current->context->guard = (struct wefti_latch){0};
        hub->current->context->life = NULL; /* the parent's */
    } else {
        hub_stand_by(hub);
        wefti_stacks_end(&hub->stacks);
    }
}

WEFTI_OPENING_WAIT static void hub_open(void)
{
    pthread_atfork(NULL, NULL, hub_forked);
}
