/* SPDX-License-Identifier: MIT */
/*
 * The report of hubs that are kept busy: a coroutine that neither waits nor yields holds up all others of its thread, and nobody sees why
 * they are late. Only where a program asks for it (weft_blocked_report, or WEFT_BLOCKED_REPORT in the environment); then a thread, the
 * watcher, looks at all hubs LOOKS times in the limit, and one line on stderr names the coroutine and the place.
 *
 * It costs a hub nothing: what the watcher reads is there anyway. `turns` goes down with each choice of who runs next, and `looks` goes up
 * whenever `turns` is set anew. Two reads of both, in which nothing has changed and the hub did not sleep, had no choice in between: reads
 * are further apart than a hub takes from one of these stores to the other. The watcher counts reads, and not time alone: a process that
 * was stopped as a whole has kept nobody waiting.
 *
 * The list of hubs has a latch, under which nothing is read but that. All else of a report is gathered without it, by reads that may fail
 * (base/peek.h) instead of ending the process, as the coroutine may go on and end meanwhile, and the hub with it; at the end the hub has to
 * be in the list and where it was, so that all that was read was true; else nothing is said.
 *
 * The place. A thread that sleeps in a system call is shown by /proc/self/task: it must not be disturbed, as a signal would cut short what
 * it waits for. One that runs is asked by a signal of the real-time range whose disposition was the default one; the handler, installed
 * with the first report that is asked for, notes two registers. A question has a number, and who answers late answers nobody:
 *
 * question: IDLE; its number (above DONE): asked; ANSWERING: the handler is writing; DONE: it has written.
 * Who is asked moves the number to ANSWERING by compare-and-swap, and to DONE with release, which pairs with the watcher's acquire. The
 * watcher takes a question back by compare-and-swap.
 *
 * Where that is not in the program itself (memcpy, a library's parser) the return address nearest on the stack that lies neither in the C
 * library nor in Weft is told, too: an address that follows a call. That is a guess: a word that was left there by an earlier call looks
 * the same.
 *
 * fork: the child has its own hub in the list and no watcher; it has to ask anew.
 */

#include "coroutine/blocked.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/opening.h"
#include "base/peek.h"
#include "base/servant.h"
#include "coroutine/hub.h"
#include "place.h"
#include <weft/coroutine.h>

enum {
    LOOKS = 4,
    MILLISECOND = 1000000,
    LINE_EACH = 1000 * MILLISECOND,
    ANSWER_TIME = LINE_EACH, /* for a thread that gets no processor; no other line could come meanwhile */
    LINE_ROOM = 2048,
    NAME_ROOM = 256,
    STACK_WORDS = 512
};
enum { UNDECIDED, DECIDED };
enum { IDLE, ANSWERING, DONE };

/* Where a thread is. */
struct place {
    uintptr_t pc, sp; /* 0: not known */
};

/* A stall, while it is looked into. */
struct report {
    const struct wefti_hub *hub; /* may be gone */
    uint64_t progress;
    weft_time since;
    int thread;
    bool home; /* it is no coroutine */
    char name[NAME_ROOM];
    struct place place;
};

static struct wefti_latch blocked_latch; /* of all down to `runs` */
static struct wefti_hub *blocked_hubs;
static weft_time blocked_limit; /* 0: no reports */
static uint32_t blocked_state;
static weft_time blocked_last; /* when the last line was written, or 0 */
static unsigned blocked_more;  /* stalls since then of which nothing was said */
static bool blocked_runs;      /* there is a watcher, or is about to be */
static uint32_t blocked_bell;

static int place_number; /* the signal; 0: none */
static uint32_t place_question, place_serial;
static struct place place_answer;

void (*wefti_coroutine_name_at)(pid_t pid, const void *task, char *name, size_t size);

/* The place. */

static void place_signal(int signal, siginfo_t *info, void *context)
{
    uint32_t number = (uint32_t)info->si_value.sival_int;
    int error = errno;
    (void)signal;
    if (number > DONE && __atomic_compare_exchange_n(&place_question, &number, ANSWERING, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
        wefti_place_of(context, &place_answer.pc, &place_answer.sp);
        __atomic_store_n(&place_question, DONE, __ATOMIC_RELEASE);
        wefti_futex_wake(&place_question, 1);
    }
    errno = error;
}

/* Once for the program: it stays, as a question may be on its way. */
static void place_signal_install(void)
{
    struct sigaction now, own = {.sa_sigaction = place_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    sigfillset(&own.sa_mask);
    for (int number = SIGRTMAX; !place_number && number > SIGRTMIN; number--)
        if (sigaction(number, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) && now.sa_handler == SIG_DFL &&
            sigaction(number, &own, NULL) == 0)
            place_number = number;
}

/* The place of a thread that sleeps in the kernel; false: it runs. */
static bool place_of_sleeper(int thread, struct place *place)
{
    char path[64], line[256];
    snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", thread);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, line, sizeof(line) - 1) : 0;
    if (fd >= 0)
        close(fd);
    line[got > 0 ? got : 0] = 0;
    /* a number and six arguments, or -1; then these two */
    return sscanf(line, "%*d %*x %*x %*x %*x %*x %*x %" SCNxPTR " %" SCNxPTR, &place->sp, &place->pc) == 2 ||
           sscanf(line, "-1 %" SCNxPTR " %" SCNxPTR, &place->sp, &place->pc) == 2;
}

static bool place_ask(int thread, uint32_t number)
{
    siginfo_t info = {.si_signo = place_number, .si_code = SI_QUEUE};
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_int = (int)number;
    __atomic_store_n(&place_question, number, __ATOMIC_RELEASE);
    return syscall(SYS_rt_tgsigqueueinfo, getpid(), thread, place_number, &info) == 0;
}

/* The place of a thread that runs. */
static void place_of_runner(int thread, struct place *place)
{
    uint32_t number = place_serial = place_serial < INT_MAX ? place_serial + 1 : 1;
    weft_time late = weft_clock() + ANSWER_TIME;
    uint32_t question = number += DONE;
    if (!place_number || !place_ask(thread, number)) {
        __atomic_store_n(&place_question, IDLE, __ATOMIC_RELAXED);
        return;
    }
    while ((question = __atomic_load_n(&place_question, __ATOMIC_ACQUIRE)) != DONE) {
        bool over = weft_clock() >= late;
        if (over && __atomic_compare_exchange_n(&place_question, &number, IDLE, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return;
        wefti_futex_wait(&place_question, question, over ? WEFT_FOREVER : late); /* the handler is at it: it comes to its end */
    }
    *place = place_answer;
    __atomic_store_n(&place_question, IDLE, __ATOMIC_RELAXED);
}

/* The object's name without its folders. */
static const char *object_name(const Dl_info *info)
{
    const char *slash = strrchr(info->dli_fname, '/');
    return slash ? slash + 1 : info->dli_fname;
}

/* Function and offset where the function is known to the dynamic linker, and the object's name and offset, which addr2line takes. */
static size_t place_write(uintptr_t pc, char *to, size_t size)
{
    Dl_info info;
    int length;
    if (!dladdr((void *)pc, &info) || !info.dli_fname) /* NOLINT: an address that was read */
        length = snprintf(to, size, "0x%" PRIxPTR, pc);
    else if (info.dli_sname)
        length = snprintf(to, size, "%s+0x%" PRIxPTR " (%s+0x%" PRIxPTR ")", info.dli_sname, pc - (uintptr_t)info.dli_saddr,
            object_name(&info), pc - (uintptr_t)info.dli_fbase);
    else
        length = snprintf(to, size, "%s+0x%" PRIxPTR, object_name(&info), pc - (uintptr_t)info.dli_fbase);
    return length < 0 ? 0 : (size_t)length < size ? (size_t)length : size - 1;
}

/* Whether the address is code of the program's or of a library of its own choice. */
static bool place_is_own(uintptr_t pc)
{
    Dl_info info, clib;
    if (!dladdr((void *)pc, &info) || !info.dli_fname) /* NOLINT: an address that was read */
        return false;
    if (dladdr((void *)(uintptr_t)&getpid, &clib) && info.dli_fbase == clib.dli_fbase)
        return false;
    const char *name = object_name(&info);
    return strncmp(name, "libweft", 7) != 0 && strncmp(name, "ld-linux", 8) != 0;
}

static bool place_returns_to(uintptr_t address)
{
    unsigned char before[WEFTI_CALL_LONGEST];
    return place_is_own(address) && wefti_peek(getpid(), (const void *)(address - sizeof(before)), before, sizeof(before)) && /* NOLINT */
           wefti_place_after_call(before);
}

/* From where, in code of the program's own, that what is at the place was called; 0: it is there itself, or nothing like that was found. */
static uintptr_t place_caller(const struct place *place)
{
    uintptr_t words[STACK_WORDS];
    size_t room = sizeof(words);
    if (!place->pc || place_is_own(place->pc))
        return 0;
    while (room > 0 && !wefti_peek(getpid(), (const void *)place->sp, words, room)) /* NOLINT: less, near the stack's end */
        room /= 2;
    for (size_t i = 0; i < room / sizeof(*words); i++)
        if (place_returns_to(words[i]))
            return words[i];
    return 0;
}

/* Hubs, as the watcher sees them; under the latch. */

/* Whether the hub has been where it is for longer than the limit, and nobody was told. */
static bool stall_is_due(struct wefti_hub *hub, weft_time now)
{
    struct wefti_stall *stall = &hub->stall;
    uint64_t progress = wefti_hub_progress(hub);
    if (progress == 0 || progress != stall->progress) {
        *stall = (struct wefti_stall){.next = stall->next, .previous = stall->previous, .progress = progress, .since = now};
        return false;
    }
    return ++stall->times >= LOOKS && now - stall->since >= blocked_limit && !stall->told;
}

/* One line each second: whether it is too early for the next. A stall that has to wait for that is counted, and told of when it lasts that
 * long. */
static bool stall_is_held(struct wefti_stall *stall, weft_time now)
{
    bool held = blocked_last && now - blocked_last < LINE_EACH;
    if (held != stall->counted)
        blocked_more += held ? 1 : -1U;
    stall->counted = held;
    return held;
}

/* The next stall to tell of; false: there is none. */
static bool stall_find(struct report *report)
{
    weft_time now = weft_clock();
    for (struct wefti_hub *hub = blocked_hubs; hub; hub = hub->stall.next) {
        struct wefti_stall *stall = &hub->stall;
        if (!stall_is_due(hub, now) || stall_is_held(stall, now))
            continue;
        stall->told = true;
        *report = (struct report){.hub = hub, .progress = stall->progress, .since = stall->since, .thread = hub->thread};
        return true;
    }
    return false;
}

/* Whether the hub is where it was all the time. */
static bool stall_lasts(const struct report *report)
{
    for (const struct wefti_hub *hub = blocked_hubs; hub; hub = hub->stall.next)
        if (hub == report->hub)
            return wefti_hub_progress(hub) == report->progress;
    return false;
}

/* Reports. */

/* What runs in the hub; by reads that may fail. */
static void report_see(struct report *report)
{
    struct wefti_flow *flow;
    struct wefti_context *context;
    const void *task;
    report->home = false;
    if (!wefti_peek(getpid(), &report->hub->current, &flow, sizeof(flow)))
        return;
    report->home = flow == &report->hub->home;
    if (wefti_coroutine_name_at && wefti_peek(getpid(), &flow->context, &context, sizeof(context)) &&
        wefti_peek(getpid(), &context->task, &task, sizeof(task)))
        wefti_coroutine_name_at(getpid(), task, report->name, sizeof(report->name));
}

/* Of what the program chose, only what a terminal can be given. */
static void name_clean(char *name)
{
    for (; *name; name++)
        if ((unsigned char)*name < ' ' || *name == 127)
            *name = '?';
}

static size_t report_write(struct report *report, unsigned more, char *line, size_t size)
{
    long long kept = (long long)((weft_clock() - report->since) / MILLISECOND);
    uintptr_t caller = place_caller(&report->place);
    name_clean(report->name);
    const char *name = *report->name ? report->name : "without a name";
    size_t length = (size_t)snprintf(line, size, "weft: %s %s has kept thread %d busy for %lld ms, in ",
        report->home ? "the thread" : "coroutine", name, report->thread, kept);
    if (report->place.pc)
        length += place_write(report->place.pc, line + length, size - length);
    else
        length += (size_t)snprintf(line + length, size - length, "an unknown place");
    if (caller) {
        length += (size_t)snprintf(line + length, size - length, ", called from ");
        length += place_write(caller, line + length, size - length);
    }
    if (more > 0)
        length += (size_t)snprintf(line + length, size - length, "; and %u more since the last report", more);
    line[length++] = '\n';
    return length;
}

/* Looks into a stall, and tells of it if it was one all the time. Without the latch. */
static void report_tell(struct report *report)
{
    char line[LINE_ROOM];
    report_see(report);
    if (!place_of_sleeper(report->thread, &report->place))
        place_of_runner(report->thread, &report->place);
    wefti_latch_close(&blocked_latch);
    bool lasts = stall_lasts(report);
    unsigned more = blocked_more;
    if (lasts) {
        blocked_last = weft_clock();
        blocked_more = 0;
    }
    wefti_latch_open(&blocked_latch);
    size_t length = lasts ? report_write(report, more, line, sizeof(line) / 2) : 0;
    ssize_t written = lasts ? write(STDERR_FILENO, line, length) : 0;
    (void)written; /* there is nobody to tell */
}

static void *blocked_main(void *nothing)
{
    prctl(PR_SET_NAME, "weft-blocked");
    wefti_latch_close(&blocked_latch);
    while (blocked_limit > 0 && blocked_hubs) {
        struct report report;
        weft_time next = weft_clock() + blocked_limit / LOOKS;
        uint32_t bell = __atomic_load_n(&blocked_bell, __ATOMIC_RELAXED);
        bool found = stall_find(&report);
        wefti_latch_open(&blocked_latch);
        if (found)
            report_tell(&report);
        else
            wefti_futex_wait(&blocked_bell, bell, next);
        wefti_latch_close(&blocked_latch);
    }
    blocked_runs = false;
    wefti_latch_open(&blocked_latch);
    return nothing;
}

/* The watcher's thread, for whoever has set `blocked_runs`. -1 with EAGAIN: there is none. */
static int blocked_start(void)
{
    if (wefti_servant_start(blocked_main, NULL) == 0)
        return 0;
    wefti_latch_close(&blocked_latch);
    blocked_runs = false;
    wefti_latch_open(&blocked_latch);
    errno = EAGAIN;
    return -1;
}

/* Whether the caller has to start the watcher; under the latch. */
static bool blocked_claim(void)
{
    bool starts = blocked_limit > 0 && blocked_hubs && !blocked_runs;
    blocked_runs |= starts;
    if (starts)
        place_signal_install();
    return starts;
}

/* What the environment asks for; under the latch. */
static void blocked_decide(void)
{
    const char *wanted = blocked_state == UNDECIDED ? getenv("WEFT_BLOCKED_REPORT") : NULL;
    long limit = wanted ? strtol(wanted, NULL, 10) : 0;
    if (limit > 0 && limit <= INT_MAX)
        blocked_limit = (weft_time)limit * MILLISECOND;
    blocked_state = DECIDED;
}

void wefti_blocked_add(struct wefti_hub *hub)
{
    int error = errno;
    wefti_latch_close(&blocked_latch);
    blocked_decide();
    hub->stall = (struct wefti_stall){.next = blocked_hubs};
    if (blocked_hubs)
        blocked_hubs->stall.previous = hub;
    blocked_hubs = hub;
    bool starts = blocked_claim();
    wefti_latch_open(&blocked_latch);
    if (starts)
        blocked_start(); /* without one there are no reports, and no harm */
    errno = error;
}

void wefti_blocked_remove(struct wefti_hub *hub)
{
    struct wefti_stall *stall = &hub->stall;
    wefti_latch_close(&blocked_latch);
    *(stall->previous ? &stall->previous->stall.next : &blocked_hubs) = stall->next;
    if (stall->next)
        stall->next->stall.previous = stall->previous;
    bool last = blocked_runs && !blocked_hubs;
    if (last)
        __atomic_add_fetch(&blocked_bell, 1, __ATOMIC_RELAXED);
    wefti_latch_open(&blocked_latch);
    if (last)
        wefti_futex_wake(&blocked_bell, 1);
}

WEFTI_FORKED void wefti_blocked_forked(struct wefti_hub *hub)
{
    blocked_latch = (struct wefti_latch){0};
    blocked_hubs = hub;
    blocked_runs = false;
    place_question = IDLE;
    if (hub)
        hub->stall = (struct wefti_stall){0};
}

int weft_blocked_report(int milliseconds)
{
    if (milliseconds < 0) {
        errno = EINVAL;
        return -1;
    }
    wefti_latch_close(&blocked_latch);
    blocked_state = DECIDED;
    blocked_limit = (weft_time)milliseconds * MILLISECOND;
    bool starts = blocked_claim();
    __atomic_add_fetch(&blocked_bell, 1, __ATOMIC_RELAXED);
    wefti_latch_open(&blocked_latch);
    wefti_futex_wake(&blocked_bell, 1);
    return starts ? blocked_start() : 0;
}
