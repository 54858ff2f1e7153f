/* SPDX-License-Identifier: MIT */
/*
 * A coroutine that overflows its stack meets the guard page below it, and the process dies of SIGSEGV. Before that, one line on stderr says
 * which coroutine it was, how large its stack is, and how much of it had been touched: less than all if one frame stepped over the rest
 * (or more than this one did, where the stack had been another's before). This is the library's only signal handler, and the only thing
 * that it prints. It is put in with the first coroutine, only where the disposition of SIGSEGV is the default one then, and not at all when
 * weft_overflow_report(false) or WEFT_OVERFLOW_REPORT=0 says so. Whatever the fault was, the handler restores the default and lets the
 * faulting instruction run again, so that the process ends, and dumps core, as it would have.
 *
 * It runs on a stack for signals, which each thread with a hub gets unless it has one.
 */

#include "coroutine/overflow.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "base/leave.h"
#include "base/memory.h"
#include "coroutine/hub.h"
#include <weft/coroutine.h>

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

enum { REPORT_ROOM = 8192, REPORT_LINE = 768 };

enum { UNDECIDED, PUT_IN, LEFT_OUT };
static uint32_t report_state;

void weft_overflow_report(bool wanted)
{
    uint32_t undecided = UNDECIDED;
    if (!wanted)
        __atomic_compare_exchange_n(&report_state, &undecided, LEFT_OUT, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* Decimal digits, as snprintf is not for signal handlers. */
static char *number_write(char *to, size_t number)
{
    char digits[24], *next = digits + sizeof(digits);
    do
        *--next = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    size_t length = (size_t)(digits + sizeof(digits) - next);
    memcpy(to, next, length);
    return to + length;
}

static char *text_write(char *to, const char *text, size_t most)
{
    size_t length = strnlen(text, most);
    memcpy(to, text, length);
    return to + length;
}

static void report_write(const struct wefti_coroutine *coroutine)
{
    char line[REPORT_LINE], *end = line;
    const char *name = wefti_coroutine_name ? wefti_coroutine_name(&coroutine->context) : NULL;
    end = text_write(end, "weft: coroutine ", REPORT_LINE / 4);
    end = text_write(end, name ? name : "without a name", REPORT_LINE / 2);
    end = text_write(end, " has overflowed its stack of ", REPORT_LINE / 4);
    end = number_write(end, wefti_stack_size(&coroutine->stack));
    end = text_write(end, " bytes, ", REPORT_LINE / 4);
    end = number_write(end, wefti_stack_touched(&coroutine->stack));
    end = text_write(end, " of them touched\n", REPORT_LINE / 4);
    ssize_t written = write(STDERR_FILENO, line, (size_t)(end - line));
    (void)written; /* there is nobody to tell */
}

static void report_signal(int signal, siginfo_t *info, void *nothing)
{
    const struct wefti_hub *hub = wefti_hub_now();
    const struct sigaction old = {.sa_handler = SIG_DFL};
    (void)nothing;
    if (info->si_code > 0 && hub && hub->current != &hub->home) {
        const struct wefti_coroutine *coroutine =
            (const struct wefti_coroutine *)((const char *)hub->current - offsetof(struct wefti_coroutine, flow));
        if (wefti_stack_guards(&coroutine->stack, info->si_addr))
            report_write(coroutine);
    }
    wefti_leave_soon();
    sigaction(signal, &old, NULL);
    if (info->si_code <= 0)
        raise(signal); /* somebody sent it: nothing will fault again */
}

/* Puts the handler in, at most once. True: it is in. */
static bool report_put_in(void)
{
    uint32_t undecided = UNDECIDED;
    struct sigaction now, report = {.sa_sigaction = report_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    const char *wanted = getenv("WEFT_OVERFLOW_REPORT");
    bool in = !(wanted && strcmp(wanted, "0") == 0) && sigaction(SIGSEGV, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) &&
              now.sa_handler == SIG_DFL;
    if (!__atomic_compare_exchange_n(&report_state, &undecided, in ? PUT_IN : LEFT_OUT, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        return undecided == PUT_IN;
    sigemptyset(&report.sa_mask);
    return in && sigaction(SIGSEGV, &report, NULL) == 0;
}

void wefti_overflow_watch(struct wefti_hub *hub)
{
    stack_t now, own = {0};
    uint32_t state = __atomic_load_n(&report_state, __ATOMIC_RELAXED);
    if (state == LEFT_OUT || (state == UNDECIDED && !report_put_in()))
        return;
    if (sigaltstack(NULL, &now) != 0 || !(now.ss_flags & SS_DISABLE))
        return;
    own.ss_size = getauxval(AT_MINSIGSTKSZ) + REPORT_ROOM;
    own.ss_sp = hub->signal_stack = wefti_alloc_raw(own.ss_size); /* without one there is no report, and no harm */
    if (own.ss_sp && sigaltstack(&own, NULL) != 0) {
        wefti_release(hub->signal_stack);
        hub->signal_stack = NULL;
    }
}

void wefti_overflow_unwatch(struct wefti_hub *hub)
{
    stack_t now, none = {.ss_flags = SS_DISABLE};
    if (!hub->signal_stack)
        return;
    if (sigaltstack(NULL, &now) == 0 && now.ss_sp == hub->signal_stack)
        sigaltstack(&none, NULL);
    wefti_release(hub->signal_stack);
    hub->signal_stack = NULL;
}
