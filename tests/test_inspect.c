/* SPDX-License-Identifier: MIT */
/* Reports of families, read by a process that is none of them; weft ps and weft clean on the same. */
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/leave.h"
#include "family/family.h"
#include "fixture.h"
#include "shared/life.h"

#define NEEDS_PIDFDS      \
    if (fixture_copies()) \
    fixture_skip("Valgrind knows no pidfds")

/* What the root of a family says to the test: that all is arranged. */
struct said {
    int ready[2], leave[2];
};

static weft_lock *locks; /* two, in the arena of the root */

static void must(bool condition, int line)
{
    if (!condition)
        wefti_leave(line % 250 + 1);
}
#define MUST(condition) must((condition), __LINE__)

/* Takes its own lock, then wants the other's: `data` is the one it has. */
static int takes_one_and_wants_other(struct wefti_process *self)
{
    weft_lock *mine = self->data, *other = mine == &locks[0] ? &locks[1] : &locks[0];
    MUST(weft_lock_acquire(mine, WEFT_FOREVER) == 0);
    while (!weft_lock_locked(other))
        weft_yield();
    weft_lock_acquire(other, WEFT_FOREVER);
    return 0;
}

static uint32_t sleepers(void)
{
    uint32_t count = 0;
    const struct wefti_family *family = wefti_family_now();
    for (uint32_t i = WEFTI_SEAT_FIRST; i < WEFTI_SEATS; i++)
        for (const struct wefti_life *life = family->seats[i].lives; life; life = life->next)
            count += __atomic_load_n(&life->waits_used, __ATOMIC_ACQUIRE) > 0;
    return count;
}

static struct wefti_process *started(int (*main)(struct wefti_process *self), void *data)
{
    struct wefti_process *process = wefti_process_new(main, data);
    MUST(process && wefti_process_start(process) == 0);
    return process;
}

/* The family with a deadlock of two. */
static void root_with_deadlock(const struct said *said)
{
    MUST(weft_shared_limit(1 << 22) == 0);
    locks = weft_shared_alloc(2 * sizeof(*locks));
    MUST(locks && wefti_family_begin() == 0);
    started(takes_one_and_wants_other, &locks[0]);
    started(takes_one_and_wants_other, &locks[1]);
    while (sleepers() < 2)
        weft_yield();
    MUST(write(said->ready[1], "", 1) == 1);
    char octet;
    MUST(read(said->leave[0], &octet, 1) == 1);
}

static pid_t root_start(void (*root)(const struct said *said), struct said *said)
{
    ck_assert_int_eq(pipe(said->ready), 0);
    ck_assert_int_eq(pipe(said->leave), 0);
    pid_t child = fork();
    if (child == 0) {
        root(said);
        wefti_leave(0);
    }
    char octet;
    ck_assert_int_eq(read(said->ready[0], &octet, 1), 1);
    return child;
}

static void said_close(const struct said *said)
{
    for (int i = 0; i < 2; i++) {
        close(said->ready[i]);
        close(said->leave[i]);
    }
}

static void root_end(pid_t root, const struct said *said)
{
    int status = -1;
    ck_assert_int_eq(write(said->leave[1], "", 1), 1);
    ck_assert_int_eq(waitpid(root, &status, 0), root);
    ck_assert_msg(status == 0, "status %x", status);
    said_close(said);
}

static weft_value field(weft_value dict, const char *key)
{
    weft_value item = weft_none;
    ck_assert_msg(weft_dict_get_str(dict, key, &item) == 0, "no field %s", key);
    return item;
}

static weft_value at(weft_value list, ptrdiff_t index)
{
    return weft_list_at(list, index);
}

START_TEST(a_deadlock_is_seen_from_outside)
{
    NEEDS_PIDFDS;
    struct said said;
    weft_value report, roots;
    pid_t root = root_start(root_with_deadlock, &said);
    ck_assert_int_eq(weft_inspect(root, &report), 0);
    ck_assert_int_eq(weft_as_int(field(report, "root")), root);
    ck_assert(weft_as_bool(field(report, "alive")));
    ck_assert_int_gt(weft_as_int(field(report, "supervisor")), 0);
    ck_assert_int_eq(weft_as_int(field(report, "epoch")), 1);
    weft_value processes = field(report, "processes");
    ck_assert_uint_eq(weft_length(processes), 3);
    ck_assert_int_eq(weft_as_int(field(at(processes, 0), "pid")), root);
    for (int i = 1; i <= 2; i++) {
        weft_value process = at(processes, i), other = at(processes, 3 - i), tasks = field(process, "tasks");
        ck_assert_str_eq(weft_as_str(field(process, "state")), "runs");
        ck_assert_str_eq(weft_as_str(field(process, "name")), "weft-process");
        weft_value task = at(tasks, 0);
        ck_assert_str_eq(weft_as_str(field(at(field(task, "holds"), 0), "kind")), "lock");
        ck_assert_uint_eq(weft_length(field(task, "holds")), 1);
        weft_value wait = at(field(task, "waits"), 0);
        ck_assert_str_eq(weft_as_str(field(wait, "kind")), "lock");
        ck_assert_int_eq(weft_as_int(field(wait, "pid")), weft_as_int(field(other, "pid")));
        ck_assert_str_eq(
            weft_as_str(field(wait, "address")), weft_as_str(field(at(field(at(field(other, "tasks"), 0), "holds"), 0), "address")));
    }
    ck_fails(weft_inspect(root, NULL), EINVAL);
    weft_drop(report);
    ck_assert_int_eq(weft_families(&roots), 0);
    bool found = false;
    for (size_t i = 0; i < weft_length(roots); i++)
        found |= weft_as_int(at(roots, (ptrdiff_t)i)) == root;
    ck_assert(found);
    weft_drop(roots);
    root_end(root, &said);
}
END_TEST

/* What a task waits for without holding anything of it. */
struct awaited {
    weft_lock lock;
    weft_condition condition;
    weft_event event;
    weft_semaphore semaphore;
    uint32_t word, past; /* past: the event */
};

static int waits_for_condition(struct wefti_process *self)
{
    struct awaited *awaited = self->data;
    MUST(weft_lock_acquire(&awaited->lock, WEFT_FOREVER) == 0);
    return weft_condition_wait(&awaited->condition, &awaited->lock, WEFT_FOREVER);
}

static int waits_for_an_event(struct wefti_process *self)
{
    struct awaited *awaited = self->data;
    return weft_event_wait(&awaited->event, WEFT_FOREVER);
}

static int waits_for_a_permit(struct wefti_process *self)
{
    struct awaited *awaited = self->data;
    return weft_semaphore_acquire(&awaited->semaphore, WEFT_FOREVER);
}

/* Has waited for an event before. */
static int waits_for_a_word(struct wefti_process *self)
{
    struct awaited *awaited = self->data;
    MUST(weft_event_wait(&awaited->event, weft_in(0.01)) == -1);
    __atomic_store_n(&awaited->past, 1, __ATOMIC_RELEASE);
    return weft_wait(&awaited->word, 0, WEFT_FOREVER);
}

static void root_with_waits(const struct said *said)
{
    char octet;
    MUST(weft_shared_limit(1 << 22) == 0);
    struct awaited *awaited = weft_shared_new(struct awaited);
    MUST(awaited && wefti_family_begin() == 0);
    started(waits_for_a_word, awaited);
    while (!__atomic_load_n(&awaited->past, __ATOMIC_ACQUIRE))
        weft_yield();
    started(waits_for_condition, awaited);
    started(waits_for_an_event, awaited);
    started(waits_for_a_permit, awaited);
    while (sleepers() < 4)
        weft_yield();
    MUST(write(said->ready[1], "", 1) == 1);
    MUST(read(said->leave[0], &octet, 1) == 1);
}

/* Which address a process of the family waits for that is of that kind; 0: none does. */
static uint64_t address_of(weft_value report, const char *kind)
{
    weft_value processes = field(report, "processes");
    for (size_t i = 0; i < weft_length(processes); i++) {
        weft_value tasks = field(at(processes, (ptrdiff_t)i), "tasks");
        for (size_t j = 0; j < weft_length(tasks); j++) {
            weft_value wait = at(field(at(tasks, (ptrdiff_t)j), "waits"), 0);
            if (weft_kind(wait) == WEFT_DICT && strcmp(weft_as_str(field(wait, "kind")), kind) == 0)
                return strtoull(weft_as_str(field(wait, "address")), NULL, 16);
        }
    }
    return 0;
}

START_TEST(what_is_waited_for_has_its_name)
{
    NEEDS_PIDFDS;
    struct said said;
    weft_value report;
    pid_t root = root_start(root_with_waits, &said);
    ck_assert_int_eq(weft_inspect(root, &report), 0);
    uint64_t word = address_of(report, "word"), first = word - offsetof(struct awaited, word);
    ck_assert_uint_ne(word, 0);
    ck_assert_uint_eq(address_of(report, "condition"), first + offsetof(struct awaited, condition));
    ck_assert_uint_eq(address_of(report, "event"), first + offsetof(struct awaited, event));
    ck_assert_uint_eq(address_of(report, "permits"), first + offsetof(struct awaited, semaphore));
    weft_drop(report);
    root_end(root, &said);
}
END_TEST

START_TEST(what_is_no_family_is_told)
{
    weft_value report = weft_int(5);
    ck_fails(weft_inspect(getpid(), &report), ESRCH);
    ck_fails(weft_inspect(999999999, &report), ESRCH);
    ck_fails(weft_inspect(getpid(), NULL), EINVAL);
    ck_fails(weft_families(NULL), EINVAL);
    ck_assert_int_eq(weft_as_int(report), 5);
    void *block = weft_shared_alloc(100); /* memory, and no member yet */
    ck_assert_ptr_nonnull(block);
    ck_fails(weft_inspect(getpid(), &report), ESRCH);
    ck_assert_int_eq(weft_shared_free(block), 0);
}
END_TEST

/* An arena whose header is no header. */
START_TEST(a_damaged_arena_is_refused)
{
    weft_value report;
    void *block = weft_shared_alloc(100);
    ck_assert_ptr_nonnull(block);
    struct wefti_arena *arena = wefti_arena_now();
    uint64_t magic = arena->magic, used = arena->used;
    arena->magic = 1;
    ck_fails(weft_inspect(getpid(), &report), EPROTO);
    arena->magic = magic;
    arena->layout++; /* another build's */
    ck_fails(weft_inspect(getpid(), &report), EPROTO);
    arena->layout--;
    arena->used = UINT64_MAX;
    ck_fails(weft_inspect(getpid(), &report), EPROTO);
    arena->used = used;
    arena->family = arena->base + arena->size - 8;
    ck_fails(weft_inspect(getpid(), &report), ESRCH);
    arena->family = 0;
    ck_assert_int_eq(weft_shared_free(block), 0);
}
END_TEST

/* Each state of a seat that somebody has claimed. */
START_TEST(states_have_their_names)
{
    static const struct {
        enum wefti_seat_state state;
        const char *name; /* NULL: it is not shown */
    } states[] = {{WEFTI_SEAT_EMPTY, NULL}, {WEFTI_SEAT_COMING, "coming"}, {WEFTI_SEAT_READY, "coming"}, {WEFTI_SEAT_TAKEN, "runs"},
        {WEFTI_SEAT_GONE, "gone"}};
    ck_assert_int_eq(weft_shared_limit(1 << 22), 0);
    struct wefti_seat *seat = &wefti_family_get()->seats[WEFTI_SEAT_FIRST];
    seat->process = (struct wefti_process *)(void *)seat; /* anybody's */
    for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++) {
        weft_value report;
        seat->state = states[i].state;
        ck_assert_int_eq(weft_inspect(getpid(), &report), 0);
        weft_value processes = field(report, "processes");
        ck_assert_uint_eq(weft_length(processes), states[i].name ? 2 : 1);
        ck_assert_str_eq(weft_as_str(field(at(processes, 0), "state")), "runs");
        if (states[i].name)
            ck_assert_str_eq(weft_as_str(field(at(processes, 1), "state")), states[i].name);
        weft_drop(report);
    }
    seat->process = NULL;
    seat->state = WEFTI_SEAT_EMPTY;
}
END_TEST

/* A fork that is adopted, which outlives the keepers and the root. */
static void root_that_leaves_one(const struct said *said)
{
    MUST(weft_shared_limit(1 << 22) == 0 && wefti_family_begin() == 0);
    struct wefti_family *family = wefti_family_now();
    struct wefti_process *process = wefti_process_new(NULL, NULL);
    uint64_t ticket = wefti_held_ticket(&process->held);
    pid_t child = fork();
    if (child == 0) {
        MUST(wefti_process_join(process, ticket) == 0);
        for (;;)
            pause();
    }
    int pidfd = (int)syscall(SYS_pidfd_open, child, 0);
    MUST(pidfd >= 0 && wefti_process_adopt(process, pidfd) == 0);
    while (!family->keepers[1].pid || !family->keepers[1].life.__data.__lock)
        weft_yield();
    MUST(kill(family->keepers[1].pid, SIGSTOP) == 0 && kill(family->supervisor, SIGSTOP) == 0);
    MUST(kill(family->keepers[1].pid, SIGKILL) == 0 && kill(family->supervisor, SIGKILL) == 0);
    for (int i = 0; i < 2; i++)
        while (!(*(volatile int *)&family->keepers[i].life.__data.__lock & (int)FUTEX_OWNER_DIED))
            weft_yield();
    MUST(write(said->ready[1], &child, sizeof(child)) == sizeof(child));
}

START_TEST(what_a_family_left_is_ended)
{
    NEEDS_PIDFDS;
    struct said said;
    pid_t left = 0;
    ck_assert_int_eq(pipe(said.ready), 0);
    ck_assert_int_eq(pipe(said.leave), 0);
    pid_t root = fork();
    if (root == 0) {
        root_that_leaves_one(&said);
        wefti_leave(0);
    }
    ck_assert_int_eq(read(said.ready[0], &left, sizeof(left)), sizeof(left));
    int status = -1;
    ck_assert_int_eq(waitpid(root, &status, 0), root);
    ck_assert_int_eq(status, 0);
    said_close(&said);
    int pidfd = (int)syscall(SYS_pidfd_open, left, 0);
    ck_assert_int_ge(pidfd, 0);
    ck_assert_int_ge(weft_families_clean(), 1);
    fixture_until(syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) != 0 || kill(left, 0) != 0 || weft_families_clean() == 0);
    close(pidfd);
}
END_TEST

/* A program with coroutines in each state; `said` as of a family's root. */

static weft_event never, soon;
static const struct said *told;

static weft_value waits_for_event(weft_value event)
{
    weft_event_wait(weft_as_ptr(event), WEFT_FOREVER);
    return weft_none;
}

static weft_value waits_for_any(weft_value descriptor)
{
    weft_case cases[] = {weft_case_descriptor((int)weft_as_int(descriptor), POLLIN, NULL), weft_case_event(&never)};
    weft_select(cases, 2, weft_in(1000));
    return weft_none;
}

/* Keeps the thread: what is woken stays ready, what is started stays new. */
static weft_value keeps_the_thread(weft_value none)
{
    char octet;
    weft_event_set(&soon);
    MUST(write(told->ready[1], "", 1) == 1);
    MUST(read(told->leave[0], &octet, 1) == 1);
    return none;
}

static void root_with_coroutines(const struct said *said)
{
    told = said;
    weft_task *tasks[] = {weft_spawn(WEFT_COROUTINE, waits_for_event, weft_ptr(&never), .name = "Event"),
        weft_spawn(WEFT_COROUTINE, waits_for_any, weft_int(said->ready[0]), .name = "Any"),
        weft_spawn(WEFT_COROUTINE, waits_for_event, weft_ptr(&soon), .name = "Ready")};
    for (int i = 0; i < 3; i++)
        MUST(tasks[i] != NULL);
    weft_yield(); /* all of them have come to wait */
    weft_task *keeper = weft_spawn(WEFT_COROUTINE, keeps_the_thread, weft_none);
    weft_task *fresh = weft_spawn(WEFT_COROUTINE, waits_for_event, weft_ptr(&soon), .name = "A name that is longer than what fits");
    MUST(keeper && fresh);
    weft_task_join(keeper, WEFT_FOREVER);
}

/* The coroutine of that name, or none. */
static weft_value coroutine_named(weft_value coroutines, const char *name)
{
    for (size_t i = 0; i < weft_length(coroutines); i++)
        if (strcmp(weft_as_str(field(weft_list_at(coroutines, (ptrdiff_t)i), "name")), name) == 0)
            return weft_list_at(coroutines, (ptrdiff_t)i);
    return weft_none;
}

static const char *state_of(weft_value coroutines, const char *name)
{
    const char *state = weft_as_str(field(coroutine_named(coroutines, name), "state"));
    return state ? state : "";
}

START_TEST(coroutines_are_seen_from_outside)
{
    struct said said;
    weft_value seen, programs;
    pid_t child = root_start(root_with_coroutines, &said);
    ck_assert_int_eq(weft_inspect_coroutines(child, &seen), 0);
    ck_assert_uint_eq(weft_length(seen), 5);
    ck_assert_str_eq(state_of(seen, "Event"), "waits");
    ck_assert_str_eq(state_of(seen, "Any"), "waits");
    ck_assert_str_eq(state_of(seen, "Ready"), "ready");
    ck_assert_str_eq(state_of(seen, "Coroutine-1"), "runs");
    ck_assert_str_eq(state_of(seen, "A name that is longer than what fits"), "new");
    weft_value event = coroutine_named(seen, "Event"), any = coroutine_named(seen, "Any");
    ck_assert_int_eq(weft_as_int(field(event, "thread")), child);
    ck_assert_uint_eq(weft_length(field(event, "waits")), 1);
    ck_assert_str_eq(weft_as_str(field(weft_list_at(field(event, "waits"), 0), "kind")), "word");
    ck_assert_int_eq(weft_dict_get_str(event, "left", NULL), -1);
    ck_assert(weft_as_float(field(event, "seconds")) < 1000);
    weft_value descriptor = weft_list_at(field(any, "waits"), 0);
    ck_assert_uint_eq(weft_length(field(any, "waits")), 2);
    ck_assert_int_eq(weft_as_int(field(descriptor, "descriptor")), said.ready[0]);
    ck_assert_str_eq(weft_as_str(field(descriptor, "events")), "read");
    ck_assert(weft_as_float(field(any, "left")) > 1 && weft_as_float(field(any, "left")) <= 1000);
    weft_drop(seen);
    ck_assert_int_eq(weft_programs(&programs), 0);
    bool found = false;
    for (size_t i = 0; i < weft_length(programs); i++)
        found |= weft_as_int(weft_list_at(programs, (ptrdiff_t)i)) == child;
    ck_assert(found);
    weft_drop(programs);
    root_end(child, &said);
}
END_TEST

static weft_value yields_for_ever(weft_value none)
{
    while (!weft_cancelled())
        weft_yield();
    return none;
}

static weft_value looks_at_own(weft_value none)
{
    weft_value seen;
    for (int i = 0; i < 50; i++) {
        ck_assert_int_eq(weft_inspect_coroutines(getpid(), &seen), 0);
        ck_assert_uint_ge(weft_length(seen), 1);
        weft_drop(seen);
    }
    return none;
}

START_TEST(what_is_seen_may_change_meanwhile)
{
    weft_task *lasting = weft_spawn(WEFT_COROUTINE, yields_for_ever, weft_none);
    weft_task *looker = weft_spawn(WEFT_THREAD, looks_at_own, weft_none);
    while (weft_task_join(looker, WEFT_NOW) != 0) {
        weft_task *passing = weft_spawn(WEFT_COROUTINE, waits_for_event, weft_ptr(&soon));
        weft_yield();
        weft_event_set(&soon);
        weft_task_join(passing, WEFT_FOREVER);
        weft_task_free(passing);
        weft_event_clear(&soon);
    }
    weft_task_cancel(lasting);
    weft_task_join(lasting, WEFT_FOREVER);
    weft_task_free(lasting);
    weft_task_free(looker);
}
END_TEST

START_TEST(coroutines_that_cannot_be_seen)
{
    weft_value seen;
    ck_fails(weft_inspect_coroutines(getpid(), NULL), EINVAL);
    ck_fails(weft_inspect_coroutines(0, &seen), EINVAL);
    ck_fails(weft_inspect_coroutines(1 << 30, &seen), ESRCH);
    ck_fails(weft_programs(NULL), EINVAL);
    ck_assert_int_eq(weft_inspect_coroutines(getpid(), &seen), 0);
    ck_assert_uint_eq(weft_length(seen), 0);
    weft_drop(seen);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_deadlock_is_seen_from_outside);
    tcase_add_test(tests, what_is_waited_for_has_its_name);
    tcase_add_test(tests, what_is_no_family_is_told);
    tcase_add_test(tests, a_damaged_arena_is_refused);
    tcase_add_test(tests, states_have_their_names);
    tcase_add_test(tests, what_a_family_left_is_ended);
    tcase_add_test(tests, coroutines_are_seen_from_outside);
    tcase_add_test(tests, what_is_seen_may_change_meanwhile);
    tcase_add_test(tests, coroutines_that_cannot_be_seen);
}

int main(void)
{
    return fixture_main("inspect", add);
}
