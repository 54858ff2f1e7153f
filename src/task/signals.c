/* SPDX-License-Identifier: MIT */
/*
 * Signals as waitables: a signalfd. What is waited for is its descriptor; reading it takes a signal, and who reads nothing waits again.
 *
 * held: for each signal, how many objects have it; read by each thread that Weft starts (wefti_signals_hold) while `objects` is not 0. Both
 * are guarded by a latch, `objects` is read without: a thread whose starter has made an object sees it, as starting a thread orders the
 * two.
 *
 * Fork: the child has the objects, their descriptors and the mask of the thread that forked; a signalfd gives each process that reads it
 * its own signals.
 */

#include <weft/signals.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

#include "base/memory.h"
#include "base/streams.h"
#include "task/task.h"
#include "wait/waitable.h"

enum { SIGNALS = 65 };

struct weft_signals {
    int descriptor;
    sigset_t set;    /* what it is for */
    sigset_t before; /* what the thread that made it had blocked */
};

static struct wefti_latch held_latch; /* of the next two */
static uint32_t held[SIGNALS];
static uint32_t objects;

/* Writes down an object more, or less, and gives those of its signals that no object has then. */
static sigset_t held_change(const sigset_t *set, bool more)
{
    sigset_t none;
    sigemptyset(&none);
    wefti_latch_close(&held_latch);
    for (int number = 1; number < SIGNALS; number++) {
        if (!sigismember(set, number))
            continue;
        held[number] += more ? 1U : UINT32_MAX;
        if (held[number] == 0)
            sigaddset(&none, number);
    }
    __atomic_store_n(&objects, objects + (more ? 1U : UINT32_MAX), __ATOMIC_RELAXED);
    wefti_latch_open(&held_latch);
    return none;
}

void wefti_signals_hold(void)
{
    if (__atomic_load_n(&objects, __ATOMIC_RELAXED) == 0)
        return;
    sigset_t all;
    sigemptyset(&all);
    wefti_latch_close(&held_latch);
    for (int number = 1; number < SIGNALS; number++)
        if (held[number])
            sigaddset(&all, number);
    wefti_latch_open(&held_latch);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
}

uint64_t wefti_signals_held(void)
{
    uint64_t set = 0;
    wefti_latch_close(&held_latch);
    for (int number = 1; number < SIGNALS; number++)
        set |= (uint64_t)(held[number] != 0) << (number - 1);
    wefti_latch_open(&held_latch);
    return set;
}

static bool set_make(sigset_t *set, const int *numbers, size_t count)
{
    static const int never[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    bool valid = numbers && count > 0;
    sigemptyset(set);
    for (size_t i = 0; valid && i < count; i++) {
        for (size_t j = 0; j < sizeof(never) / sizeof(*never); j++)
            valid = valid && numbers[i] != never[j];
        valid = valid && sigaddset(set, numbers[i]) == 0;
    }
    if (!valid)
        errno = EINVAL;
    return valid;
}

weft_signals *weft_signals_new_with(const int *numbers, size_t count)
{
    sigset_t set;
    if (!set_make(&set, numbers, count))
        return NULL;
    weft_signals *signals = wefti_alloc(sizeof(*signals));
    if (!signals)
        return NULL;
    *signals = (weft_signals){.descriptor = -1, .set = set};
    if (!wefti_fails_with(EMFILE))
        signals->descriptor = wefti_beside_streams(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (signals->descriptor < 0) {
        int error = errno;
        wefti_release(signals);
        errno = error;
        return NULL;
    }
    held_change(&set, true);
    pthread_sigmask(SIG_BLOCK, &set, &signals->before);
    return signals;
}

void weft_signals_free(weft_signals *signals)
{
    if (!signals)
        return;
    int error = errno;
    sigset_t loose = held_change(&signals->set, false);
    for (int number = 1; number < SIGNALS; number++)
        if (sigismember(&signals->before, number) == 1)
            sigdelset(&loose, number);
    close(signals->descriptor);
    wefti_release(signals);
    pthread_sigmask(SIG_UNBLOCK, &loose, NULL);
    errno = error;
}

static struct weft_signal signal_of(const struct signalfd_siginfo *info)
{
    return (struct weft_signal){.number = (int)info->ssi_signo,
        .code = info->ssi_code,
        .pid = (int)info->ssi_pid,
        .uid = info->ssi_uid,
        .status = info->ssi_status,
        .value = (int64_t)info->ssi_ptr};
}

static int signals_case_ready(weft_case *one)
{
    const weft_signals *signals = one->object;
    struct signalfd_siginfo info;
    int error = errno;
    ssize_t got;
    while ((got = read(signals->descriptor, &info, sizeof(info))) < 0 && errno == EINTR)
        ;
    if (got != sizeof(info)) {
        if (errno != EAGAIN)
            return -1;
        errno = error;
        return 0;
    }
    if (one->operation)
        *(struct weft_signal *)one->operation = signal_of(&info);
    return 1;
}

static bool signals_case_enqueue(weft_case *one, struct wefti_item *item)
{
    const weft_signals *signals = one->object;
    item->kind = WEFTI_DESCRIPTOR;
    item->transfer = NULL;
    item->descriptor = signals->descriptor;
    item->events = POLLIN;
    return false; /* the wait begins with a look */
}

static void signals_case_dequeue(weft_case *one)
{
    (void)one; /* a descriptor wakes all who poll it */
}

static const struct weft_waitable signals_waitable = {
    .ready = signals_case_ready, .enqueue = signals_case_enqueue, .dequeue = signals_case_dequeue};

weft_case weft_case_signals(weft_signals *signals, struct weft_signal *signal)
{
    return (weft_case){.waitable = &signals_waitable, .object = signals, .operation = signal};
}

int weft_signals_wait(weft_signals *signals, struct weft_signal *signal, weft_time deadline)
{
    weft_case one = weft_case_signals(signals, signal);
    if (weft_select(&one, 1, deadline) < 0)
        return -1;
    if (one.error)
        errno = one.error;
    return one.error ? -1 : 0;
}
