/* SPDX-License-Identifier: MIT */
/*
 * The hub: the coroutines of one thread, and how they take turns.
 *
 * A thread gets its hub with its first coroutine and has it until it ends. Its flows are its coroutines and what the thread does itself,
 * its home; each is a context, and to `wait` all are alike. There is no flow that schedules: who parks or yields looks who is next and
 * switches to that one; if there is nobody, it sleeps in the kernel for all of them, on its own stack. Who ends does the same, and is
 * cleared away by who comes next, as no one can give back the stack he stands on.
 *
 * Only the hub's thread touches the hub and its flows, but for the inbox (inbox.c).
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
 * A hub that is lent to another loop (weft_hub_fd) looks asleep to everybody while the thread is in that loop: the inbox is
 * WEFTI_INBOX_POLLS, epoll's descriptor has a clock that is set to the first deadline, and who makes a flow ready on the thread itself
 * rings the bell, too.
 *
 * Where somebody was sent something who answers at once (`expects`), a hub looks at its descriptors for a while before it sleeps, if that
 * has paid before, and lets other threads run between two looks (wait/spin.h): processes that ask and answer in turn then need no wake,
 * which costs more than all else they do.
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
#include "coroutine/inbox.h"
#include "coroutine/overflow.h"
#include "coroutine/readiness.h"
#include "coroutine/change.h"
#include "hint.h"
#include <weft/coroutine.h>

#ifdef WEFTI_SMALL
enum { TURNS = 3, SPIN_TIME = 2000, ANSWER_TIME = 4000 };
#else
enum { TURNS = 64, SPIN_TIME = 20000 /* ns */, ANSWER_TIME = 50000 /* the other one has to be woken before he can send */ };
#endif
enum {
    SPIN_LOOKS = 8,
    CHOICE = 4,
    SLEEP_SLACK = 10000 /* ns that a sleep to its end may be short of it, as each look at the clock takes some */
};

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
        wefti_inbox_empty(hub);
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
            if (wefti_inbox_has_notes(hub))
                return wefti_spin_told(&hub->spin, true);
            wefti_pause();
        }
    } while (weft_clock() < end);
    return wefti_spin_told(&hub->spin, false);
}

/* A look at the descriptors. True when somebody may go on. */
static bool hub_polls(struct wefti_hub *hub)
{
    wefti_descriptors_poll(&hub->descriptors, WEFT_NOW);
    return hub->first || wefti_inbox_has_notes(hub);
}

/* Looks at the descriptors, too, for a while, when somebody was sent something who answers at once. True when there is something. */
static bool hub_spin_polling(struct wefti_hub *hub, weft_time until)
{
    bool expects = hub->expects, lends = true;
    hub->expects = false;
    if (!expects || !wefti_spin_pays(&hub->answer_spin.spin))
        return false;
    weft_time now = weft_clock();
    weft_time end = until - now < ANSWER_TIME ? until : now + ANSWER_TIME;
    bool found = hub_polls(hub);
    while (!found && lends && now < end) {
        lends = wefti_spin_lends(&hub->answer_spin, &now);
        found = hub_polls(hub);
    }
    return lends ? wefti_spin_answered(&hub->answer_spin, found) : found;
}

/* Sleeps until somebody may go on, or the moment: `until` as weft_clock tells it, and `real` as the machine does. */
static void hub_sleep_until(struct wefti_hub *hub, weft_time until, weft_time real, bool polls)
{
    if (!wefti_inbox_move(hub, NULL, polls ? WEFTI_INBOX_POLLS : WEFTI_INBOX_SLEEPS))
        return;
    if (polls) {
        wefti_descriptors_poll(&hub->descriptors, until);
        hub_set_turns(hub, TURNS);
        hub->rung = false;
    } else
        wefti_futex_wait(wefti_inbox_word(hub), (uint32_t)(uintptr_t)WEFTI_INBOX_SLEEPS, real);
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
    else if (!(polls ? hub_spin_polling(hub, until) : hub_spin(hub, until)))
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

void wefti_flow_sleep(struct wefti_flow *flow)
{
    flow->parked = true;
    struct wefti_flow *next = hub_next(flow->hub);
    if (next != flow)
        flow_switch(flow, next);
    flow->parked = false;
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
    wefti_inbox_move(hub, NULL, WEFTI_INBOX_POLLS);
    if ((hub->first || wefti_inbox_has_notes(hub)) && !hub->rung) {
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
    int parked = wefti_flow_park(flow, wait);
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

bool wefti_readiness_seeded(void)
{
    const struct wefti_hub *hub = hub_get();
    return hub && hub->seed != 0;
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
    bool rests = inbox == WEFTI_INBOX_SLEEPS || inbox == WEFTI_INBOX_POLLS || (seen->current == &hub->home && seen->alive == 0);
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
        wefti_flow_sleep(&hub->home);
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

void wefti_hub_leave(struct wefti_hub *hub, int descriptor)
{
    hub_enter(hub);
    wefti_descriptors_leave(&hub->descriptors, descriptor);
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
static WEFTI_FORKED void hub_forked(void)
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
