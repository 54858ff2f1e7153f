/* SPDX-License-Identifier: MIT */
/* Tasks as processes: all verbs, outcomes, errors. */
#include <dirent.h>
#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/memory.h"
#include "family_root.h"
#include "shared/block.h"
#include "shared/seat.h"
#include "task/process.h"
#include "task/task.h"

static weft_value twice(weft_value n)
{
    return weft_int(weft_as_int(n) * 2);
}

static weft_value nothing(weft_value argument)
{
    return weft_keep(argument);
}

static weft_value fails(weft_value code)
{
    return weft_error((int)weft_as_int(code), "no such page: %d", 7);
}

/* Sleeps until it is cancelled or killed; says in *word that it is there. */
static weft_value sleeps(weft_value word)
{
    uint32_t *there = weft_as_ptr(word);
    if (there) {
        __atomic_add_fetch(there, 1, __ATOMIC_RELEASE);
        weft_wake(there, UINT32_MAX);
    }
    return weft_sleep(1000) == 0 ? weft_none : weft_error(errno, NULL);
}

static bool text_is(weft_value value, const char *text)
{
    bool same = weft_kind(value) == WEFT_STR && strcmp(weft_as_str(value), text) == 0;
    weft_drop(value);
    return same;
}

/* What a task gives: yours. */
static weft_value result(weft_task *task)
{
    weft_value value;
    MUST(task && weft_task_result(task, &value, WEFT_FOREVER) == 0);
    return value;
}

static void root_of_one(void)
{
    weft_task *task = weft_spawn(WEFT_PROCESS, twice, weft_int(21));
    MUST(weft_as_int(result(task)) == 42 && weft_as_int(result(task)) == 42);
    MUST(weft_task_result(task, NULL, WEFT_NOW) == 0 && weft_task_join(task, WEFT_NOW) == 0);
    MUST(weft_task_outcome(task) == WEFT_DONE && weft_task_exitcode(task) == 0 && !weft_task_is_alive(task));
    MUST(weft_task_state_of(task) == WEFT_STOPPED && weft_task_kind_of(task) == WEFT_PROCESS);
    weft_task_free(task);
}

START_TEST(a_process_runs_and_gives_its_result)
{
    NEEDS_PIDFDS;
    root_runs(root_of_one);
}
END_TEST

/* All kinds of values, there and back. */
static void root_of_values(void)
{
    weft_value list = weft_list(), dict = weft_dict(), big = weft_list();
    MUST(weft_list_append(list, weft_str("one")) == 0 && weft_list_append(list, weft_float(2.5)) == 0);
    MUST(weft_dict_set(dict, weft_str("list"), weft_keep(list)) == 0 && weft_dict_set(dict, weft_int(1), list) == 0);
    for (int i = 0; i < 20000; i++)
        MUST(weft_list_append(big, weft_int(i)) == 0);
    int *shared = weft_shared_new(int);
    weft_value values[] = {weft_none, weft_bool(true), weft_int(INT64_MIN), weft_ptr(NULL), weft_ptr(shared), weft_str("\303\251"),
        weft_bytes("a\0b", 3), dict, weft_tuple(NULL, 0), big};
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
        weft_task *task = weft_spawn(WEFT_PROCESS, nothing, weft_keep(values[i]));
        weft_value back = result(task);
        MUST(weft_equal(values[i], back));
        weft_drop(back);
        weft_drop(values[i]);
        weft_task_free(task);
    }
    weft_shared_free(shared);
}

START_TEST(values_cross_both_ways)
{
    NEEDS_PIDFDS;
    root_runs(root_of_values);
}
END_TEST

static weft_value gives_private(weft_value unused)
{
    static int mine;
    (void)unused;
    return weft_ptr(&mine);
}

static void root_of_pointers(void)
{
    int mine;
    weft_value list = weft_list();
    MUST(weft_list_append(list, weft_ptr(&mine)) == 0);
    errno = 0;
    MUST(!weft_spawn(WEFT_PROCESS, nothing, list) && errno == EFAULT);
    weft_drop(list); /* still ours */
    weft_task *task = weft_task_new(WEFT_PROCESS, nothing, weft_ptr(&mine));
    MUST(weft_task_start(task) == -1 && errno == EFAULT && weft_task_state_of(task) == WEFT_INITIAL);
    weft_task_free(task);
    MUST(!weft_spawn(WEFT_PROCESS, (weft_function *)(uintptr_t)16, weft_none) && errno == EFAULT);

    task = weft_spawn(WEFT_PROCESS, gives_private, weft_none, .name = "giver");
    weft_value error = result(task);
    MUST(weft_error_code(error) == EFAULT && strstr(weft_error_text(error), "giver") && strstr(weft_error_text(error), "pointer"));
    MUST(weft_task_outcome(task) == WEFT_FAILED && weft_task_exitcode(task) == 1);
    weft_drop(error);
    weft_task_free(task);
}

START_TEST(what_cannot_cross_is_told)
{
    NEEDS_PIDFDS;
    root_runs(root_of_pointers);
}
END_TEST

static void root_of_errors(void)
{
    uint64_t before = weft_uncollected_count();
    weft_task *task = weft_spawn(WEFT_PROCESS, fails, weft_int(ENOENT));
    weft_value error = result(task);
    MUST(weft_error_code(error) == ENOENT && strcmp(weft_error_text(error), "no such page: 7") == 0);
    MUST(weft_task_outcome(task) == WEFT_FAILED && weft_task_exitcode(task) == 1);
    weft_drop(error);
    weft_task_free(task);
    MUST(weft_uncollected_count() == before);
    task = weft_spawn(WEFT_PROCESS, fails, weft_int(ENOENT));
    MUST(weft_task_join(task, WEFT_FOREVER) == 0);
    weft_task_free(task);
    MUST(weft_uncollected_count() == before + 1);
}

START_TEST(an_error_is_a_result)
{
    NEEDS_PIDFDS;
    root_runs(root_of_errors);
}
END_TEST

static weft_value dies(weft_value signal)
{
    raise((int)weft_as_int(signal));
    return weft_none;
}

static weft_value exits(weft_value how)
{
    if (weft_as_int(how) < 0)
        _exit((int)-weft_as_int(how));
    exit((int)weft_as_int(how));
}

static void lost_with(weft_task *task, int code, const char *text)
{
    char expected[200];
    weft_value error = result(task);
    snprintf(expected, sizeof(expected), "task %s (pid %d) %s", weft_task_name(task), weft_task_native_id(task), text);
    MUST(weft_error_code(error) == EOWNERDEAD && strcmp(weft_error_text(error), expected) == 0);
    MUST(weft_task_outcome(task) == WEFT_LOST && weft_task_exitcode(task) == code && !weft_task_is_alive(task));
    weft_drop(error);
    weft_task_free(task);
}

static void root_of_the_lost(void)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    lost_with(weft_spawn(WEFT_PROCESS, dies, weft_int(SIGKILL)), -SIGKILL, "was killed by signal 9");
    lost_with(weft_spawn(WEFT_PROCESS, dies, weft_int(SIGABRT)), -SIGABRT, "was killed by signal 6");
    lost_with(weft_spawn(WEFT_PROCESS, exits, weft_int(3)), 3, "exited with status 3");
    lost_with(weft_spawn(WEFT_PROCESS, exits, weft_int(-4)), 4, "exited with status 4");
    lost_with(weft_spawn(WEFT_PROCESS, exits, weft_int(0)), 0, "exited with status 0");
    uint64_t before = weft_uncollected_count();
    weft_task *task = weft_spawn(WEFT_PROCESS, dies, weft_int(SIGKILL));
    MUST(weft_task_join(task, WEFT_FOREVER) == 0);
    weft_task_free(task);
    MUST(weft_uncollected_count() == before + 1);
}

START_TEST(who_dies_without_a_result_is_lost)
{
    NEEDS_PIDFDS;
    root_runs(root_of_the_lost);
}
END_TEST

/* Forks; the function returns in the copy, too, and first there. Then this one ends as `how` says: by a value, or by a signal. */
static weft_value forks_and_returns(weft_value how)
{
    int status = -1;
    pid_t copy = fork();
    if (copy == 0)
        return weft_as_int(how) > 1 ? weft_error(ENOENT, "of the copy") : weft_str("of the copy");
    if (copy < 0 || waitpid(copy, &status, 0) != copy)
        return weft_error(errno, "no copy");
    if (weft_as_int(how) == 1)
        raise(SIGKILL);
    return weft_int(status);
}

static void root_of_copies(void)
{
    static const enum weft_process_method methods[] = {WEFT_ZYGOTE, WEFT_FORK};
    for (int i = 0; i < 2; i++)
        for (int how = 0; how <= 2; how += 2) {
            weft_value status;
            weft_task *task = weft_spawn(WEFT_PROCESS, forks_and_returns, weft_int(how), .method = methods[i]);
            MUST(task && weft_task_result(task, &status, weft_in(60)) == 0 && weft_kind(status) == WEFT_INT);
            MUST(weft_as_int(status) == (how == 0 ? 0 : 1 << 8) && weft_task_outcome(task) == WEFT_DONE);
            weft_task_free(task);
        }
    lost_with(weft_spawn(WEFT_PROCESS, forks_and_returns, weft_int(1)), -SIGKILL, "was killed by signal 9");
}

START_TEST(what_a_process_forked_does_not_answer_for_it)
{
    NEEDS_PIDFDS;
    root_runs(root_of_copies);
}
END_TEST

/* Where cores lie in this folder: what they have on the disk, all together. */
static size_t cores_size(void)
{
    size_t size = 0;
    struct stat file;
    DIR *folder = opendir(".");
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        if (strncmp(entry->d_name, "core", 4) == 0 && stat(entry->d_name, &file) == 0)
            size += (size_t)file.st_blocks * 512;
    closedir(folder);
    return size;
}

/* The kernel decides whether a core is dumped, and where: so what it does with a plain child is the measure. Shared memory, full or not, is
 * in none. */
static void root_of_a_core(void)
{
    enum { MUCH = 40 << 20 };
    int status = 0;
    char text[64];
    bool watched = FIXTURE_STRIDE > 1 || FIXTURE_TSAN || fixture_copies(); /* cores of these are huge */
    MUST(chdir(fixture_folder()) == 0);
    setrlimit(RLIMIT_CORE, &(struct rlimit){watched ? 0 : RLIM_INFINITY, watched ? 0 : RLIM_INFINITY});
    pid_t pid = fork();
    if (pid == 0)
        abort();
    MUST(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
    snprintf(text, sizeof(text), "was killed by signal 6%s", WCOREDUMP(status) ? ", core dumped" : "");
    char *octets = weft_shared_alloc(MUCH);
    MUST(octets);
    memset(octets, 1, MUCH);
    lost_with(weft_spawn(WEFT_PROCESS, dies, weft_int(SIGABRT)), -SIGABRT, text);
    MUST(cores_size() < MUCH && weft_shared_free(octets) == 0);
}

START_TEST(a_dumped_core_is_told)
{
    NEEDS_PIDFDS;
    root_runs(root_of_a_core);
}
END_TEST

static void root_of_states(void)
{
    char text[64];
    weft_value value = weft_int(7);
    uint32_t *there = weft_shared_new(uint32_t);
    weft_task *task = weft_task_new(WEFT_PROCESS, sleeps, weft_ptr(there), .name = "pywjh");
    weft_task_repr(task, text, sizeof(text));
    MUST(strcmp(text, "<Process(pywjh, initial)>") == 0 && weft_task_ident(task) == 0 && weft_task_native_id(task) == 0);
    MUST(weft_task_exitcode(task) == -1 && !weft_task_is_alive(task));
    MUST(weft_task_join(task, WEFT_FOREVER) == -1 && errno == EINVAL);
    MUST(weft_active_count() == 1 && weft_task_start(task) == 0 && weft_active_count() == 2);
    MUST(weft_task_start(task) == -1 && errno == EALREADY);
    weft_task_repr(task, text, sizeof(text));
    MUST(strcmp(text, "<Process(pywjh, started)>") == 0 && weft_task_ident(task) != 0);
    MUST(weft_task_native_id(task) > 0 && weft_task_native_id(task) != getpid() && kill(weft_task_native_id(task), 0) == 0);
    MUST(weft_task_is_alive(task) && weft_task_outcome(task) == WEFT_PENDING && weft_task_exitcode(task) == -1);
    MUST(weft_task_join(task, WEFT_NOW) == -1 && errno == EAGAIN);
    MUST(weft_task_join(task, weft_in(0.01)) == -1 && errno == ETIMEDOUT);
    MUST(weft_task_result(task, &value, weft_in(0.01)) == -1 && errno == ETIMEDOUT && weft_as_int(value) == 7);
    MUST(root_until(there, 1));
    weft_task_cancel(task);
    MUST(weft_task_join(task, WEFT_FOREVER) == 0 && weft_task_outcome(task) == WEFT_CANCELLED && weft_task_exitcode(task) == 1);
    weft_task_cancel(task);
    weft_task_repr(task, text, sizeof(text));
    MUST(strcmp(text, "<Process(pywjh, stopped)>") == 0 && weft_active_count() == 1);
    weft_task_free(task);
    task = weft_task_new(WEFT_PROCESS, sleeps, weft_none, .daemon = true);
    weft_task_repr(task, text, sizeof(text));
    MUST(strcmp(text, "<Process(Process-1, initial daemon)>") == 0 && weft_task_daemon(task));
    weft_task_cancel(task);
    MUST(weft_task_join(task, WEFT_NOW) == 0 && weft_task_outcome(task) == WEFT_CANCELLED);
    weft_task_free(task);
    task = weft_task_new(WEFT_PROCESS, sleeps, weft_none);
    MUST(weft_task_kill(task) == 0 && weft_task_outcome(task) == WEFT_CANCELLED);
    weft_task_free(task);
}

START_TEST(states_follow_each_other)
{
    NEEDS_PIDFDS;
    root_runs(root_of_states);
}
END_TEST

/* What a process finds out about itself. */
static weft_value reports(weft_value parent)
{
    char kernel[16] = "", text[300], repr[64];
    weft_task *self = weft_current();
    prctl(PR_GET_NAME, kernel);
    weft_task_repr(self, repr, sizeof(repr));
    bool well = self == weft_main() && weft_task_kind_of(self) == WEFT_PROCESS && weft_task_is_alive(self) && weft_active_count() == 1 &&
                weft_task_native_id(self) == getpid() && weft_as_int(parent) != getpid() && weft_task_exitcode(self) == -1;
    snprintf(text, sizeof(text), "%s/%s/%s/%d/%d", weft_task_name(self), kernel, repr, well, (int)weft_task_ident(self));
    return weft_str(text);
}

static weft_value renames_itself(weft_value unused)
{
    char kernel[16] = "";
    (void)unused;
    if (weft_task_set_name(weft_current(), "another") != 0)
        return weft_none;
    prctl(PR_GET_NAME, kernel);
    return weft_str(kernel);
}

static weft_value names_its_child(weft_value unused)
{
    weft_task *task = weft_spawn(WEFT_PROCESS, reports, weft_int(getpid()));
    weft_value value;
    (void)unused;
    if (!task || weft_task_result(task, &value, WEFT_FOREVER) != 0)
        return weft_error(errno, NULL);
    weft_task_free(task);
    return value;
}

/* The name of the innermost of so many, each in the one before. */
static weft_value names_the_innermost(weft_value depth)
{
    if (weft_as_int(depth) == 0)
        return weft_str(weft_task_name(weft_current()));
    weft_task *task = weft_spawn(WEFT_PROCESS, names_the_innermost, weft_int(weft_as_int(depth) - 1));
    weft_value value;
    if (!task || weft_task_result(task, &value, WEFT_FOREVER) != 0)
        return weft_error(errno, NULL);
    weft_task_free(task);
    return value;
}

static void root_of_names(void)
{
    char text[300];
    weft_task *task = weft_spawn(WEFT_PROCESS, reports, weft_int(getpid()));
    snprintf(text, sizeof(text), "Process-1/Process-1/<Process(Process-1, started)>/1/%d", (int)weft_task_ident(task));
    MUST(text_is(result(task), text));
    weft_task_free(task);
    task = weft_spawn(WEFT_PROCESS, reports, weft_int(getpid()), .name = "a name of more than fifteen", .daemon = true);
    snprintf(text, sizeof(text), "a name of more than fifteen/a name of more /<Process(a name of more than fifteen, started daemon)>/1/%d",
        (int)weft_task_ident(task));
    MUST(text_is(result(task), text));
    MUST(weft_task_set_name(task, "renamed") == 0 && strcmp(weft_task_name(task), "renamed") == 0);
    weft_task_free(task);
    task = weft_spawn(WEFT_PROCESS, renames_itself, weft_none);
    MUST(text_is(result(task), "another"));
    weft_task_free(task);
    task = weft_spawn(WEFT_PROCESS, names_its_child, weft_none);
    weft_value value = result(task);
    MUST(strncmp(weft_as_str(value), "Process-3:1/Process-3:1/<", 25) == 0 && strstr(weft_as_str(value), "/1/"));
    weft_drop(value);
    weft_task_free(task);
    int depth = WEFTI_SEATS > 20 ? 18 : 9; /* each has a seat */
    task = weft_spawn(WEFT_PROCESS, names_the_innermost, weft_int(depth));
    strcpy(text, "Process-4");
    for (int i = 0; i < depth; i++)
        strcat(text, ":1");
    MUST(text_is(result(task), text));
    weft_task_free(task);
    MUST(strcmp(weft_task_name(weft_main()), "MainThread") == 0);
}

START_TEST(a_process_knows_who_it_is)
{
    NEEDS_PIDFDS;
    root_runs(root_of_names);
}
END_TEST

/* Waits in some way, when it is there, and gives the errno with which that ended. */
static weft_value waits(weft_value how)
{
    uint32_t private_word = 0, *there = weft_as_ptr(weft_list_at(how, 1));
    int ends[2], way = (int)weft_as_int(weft_list_at(how, 0));
    weft_event event = {0};
    if (pipe(ends) != 0)
        return weft_none;
    weft_case cases[] = {weft_case_descriptor(ends[0], POLLIN, NULL), weft_case_event(&event)};
    __atomic_store_n(there, 1, __ATOMIC_RELEASE);
    int waited = 0;
    errno = 0;
    if (way == 0)
        waited = weft_wait(&private_word, 0, WEFT_FOREVER);
    else if (way == 1)
        waited = weft_wait(there, 1, WEFT_FOREVER);
    else if (way == 2)
        waited = weft_sleep(1000);
    else if (way == 3)
        waited = weft_select(cases, 1, WEFT_FOREVER);
    else if (way == 4)
        waited = weft_select(cases, 2, WEFT_FOREVER);
    else
        while (!weft_cancelled())
            weft_yield();
    int error = errno;
    bool again = weft_sleep(1000) == -1 && errno == ECANCELED && weft_cancelled(); /* sticky */
    weft_shield again = again && weft_sleep(0.001) == 0;
    return weft_tuple((weft_value[]){weft_int(way < 5 ? error : ECANCELED), weft_bool((way == 5 || waited == -1) && again)}, 2);
}

static void root_that_cancels(void)
{
    uint32_t *there = weft_shared_new(uint32_t);
    for (int way = 0; way < 6; way++) {
        *there = 0;
        weft_task *task = weft_spawn(WEFT_PROCESS, waits, weft_tuple((weft_value[]){weft_int(way), weft_ptr(there)}, 2));
        MUST(task && root_until(there, 1));
        if (way % 2)
            usleep(2000); /* most probably it sleeps by then */
        weft_task_cancel(task);
        weft_value value = result(task);
        MUST(weft_as_int(weft_list_at(value, 0)) == ECANCELED && weft_as_bool(weft_list_at(value, 1)));
        weft_drop(value);
        MUST(weft_task_outcome(task) == WEFT_DONE); /* it returned a value all the same */
        weft_task_free(task);
    }
}

START_TEST(cancelling_ends_every_wait)
{
    NEEDS_PIDFDS;
    root_runs(root_that_cancels);
}
END_TEST

static void ignore(int number)
{
    (void)number;
}

static void root_that_stops(void)
{
    uint32_t *there = weft_shared_new(uint32_t);
    uint64_t before = weft_uncollected_count();
    weft_signals *signals = weft_signals_new(SIGTERM, SIGUSR1); /* blocked here, not there */
    signal(SIGTERM, ignore);
    weft_task *one = weft_spawn(WEFT_PROCESS, sleeps, weft_ptr(there)), *other = weft_spawn(WEFT_PROCESS, sleeps, weft_ptr(there));
    MUST(root_until(there, 2));
    MUST(weft_task_terminate(one) == 0 && weft_task_kill(other) == 0);
    MUST(weft_task_join(one, WEFT_FOREVER) == 0 && weft_task_exitcode(one) == -SIGTERM && weft_task_outcome(one) == WEFT_LOST);
    MUST(weft_task_join(other, WEFT_FOREVER) == 0 && weft_task_exitcode(other) == -SIGKILL);
    MUST(weft_task_terminate(one) == 0 && weft_task_kill(other) == 0); /* again: harmless */
    weft_task_free(one);
    weft_task_free(other);
    MUST(weft_uncollected_count() == before); /* they were asked to end */
    weft_signals_free(signals);
}

START_TEST(terminate_and_kill)
{
    NEEDS_PIDFDS;
    root_runs(root_that_stops);
}
END_TEST

static weft_value joins_a_thread(weft_value word)
{
    weft_task *thread = weft_spawn(WEFT_THREAD, sleeps, weft_keep(word)), *done = weft_spawn(WEFT_THREAD, twice, weft_int(4));
    weft_value value;
    if (!thread || !done || weft_task_result(done, &value, WEFT_FOREVER) != 0)
        return weft_error(errno, NULL);
    weft_task_free(done);
    weft_task_cancel(thread);
    if (weft_task_join(thread, WEFT_FOREVER) != 0)
        return weft_error(errno, NULL);
    weft_task_free(thread);
    return value;
}

/* A thread of Weft's that outlives the function is joined; one of the program's own ends with the process. */
static void *pauses(void *unused)
{
    pause();
    return unused;
}

static weft_value says_later(weft_value word)
{
    if (weft_sleep(0.02) == 0)
        __atomic_store_n((uint32_t *)weft_as_ptr(word), 7, __ATOMIC_RELEASE);
    return weft_none;
}

static weft_value leaves_threads(weft_value word)
{
    pthread_t thread;
    weft_task *task = weft_spawn(WEFT_THREAD, says_later, weft_keep(word)),
              *daemon = weft_spawn(WEFT_THREAD, sleeps, weft_none, .daemon = true);
    if (!task || !daemon || pthread_create(&thread, NULL, pauses, NULL) != 0)
        return weft_error(EAGAIN, NULL);
    weft_task_free(task);
    weft_task_free(daemon);
    return weft_str("left");
}

static weft_value adds(weft_value word)
{
    __atomic_add_fetch((uint32_t *)weft_as_ptr(word), 1, __ATOMIC_RELAXED);
    return weft_none;
}

static weft_value leaves_a_pool(weft_value word)
{
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 2);
    for (int i = 0; i < 50; i++)
        if (weft_pool_start(pool, adds, weft_keep(word)) != 0)
            return weft_error(errno, NULL);
    return weft_none;
}

static void root_with_threads_inside(void)
{
    uint32_t *word = weft_shared_new(uint32_t);
    weft_task *task = weft_spawn(WEFT_PROCESS, joins_a_thread, weft_ptr(word));
    MUST(weft_as_int(result(task)) == 8);
    weft_task_free(task);
    task = weft_spawn(WEFT_PROCESS, leaves_threads, weft_ptr(word));
    MUST(text_is(result(task), "left") && *word == 7 && weft_task_exitcode(task) == 0);
    weft_task_free(task);
    *word = 0;
    task = weft_spawn(WEFT_PROCESS, leaves_a_pool, weft_ptr(word));
    MUST(weft_is_none(result(task)) && *word == 50);
    weft_task_free(task);
}

START_TEST(threads_inside_end_as_those_of_a_program)
{
    NEEDS_PIDFDS;
    root_runs(root_with_threads_inside);
}
END_TEST

static weft_value counts_tasks(weft_value unused)
{
    (void)unused;
    weft_task *tasks[4] = {NULL};
    size_t count = weft_tasks(tasks, 4);
    bool alone = count == 1 && tasks[0] == weft_current() && tasks[0] == weft_main();
    for (size_t i = 0; i < count && i < 4; i++)
        weft_task_free(tasks[i]);
    return weft_bool(alone);
}

/* Nothing of the starter's: no tasks, no locals, no shield, no deadline. */
static weft_local local = WEFT_LOCAL(NULL);

static weft_value finds_nothing(weft_value unused)
{
    weft_value alone = counts_tasks(unused);
    return weft_bool(weft_as_bool(alone) && !weft_local_get(&local) && weft_sleep(0.02) == 0);
}

static weft_value destroyed_word;

static void destroys(void *pointer)
{
    __atomic_store_n((uint32_t *)pointer, 9, __ATOMIC_RELEASE);
}

static weft_value has_locals(weft_value word)
{
    static weft_local own = WEFT_LOCAL(destroys);
    destroyed_word = word;
    return weft_int(weft_local_set(&own, weft_as_ptr(word)));
}

static void root_with_state(void)
{
    int mine;
    uint32_t *word = weft_shared_new(uint32_t);
    MUST(weft_local_set(&local, &mine) == 0);
    weft_task *task = NULL;
    weft_shield weft_deadline (weft_in(0.01)) task = weft_spawn(WEFT_PROCESS, finds_nothing, weft_none);
    MUST(weft_as_bool(result(task)));
    weft_task_free(task);
    weft_task *sleeper = weft_spawn(WEFT_PROCESS, sleeps, weft_none), *thread = weft_spawn(WEFT_THREAD, sleeps, weft_none);
    task = weft_spawn(WEFT_PROCESS, counts_tasks, weft_none);
    MUST(weft_active_count() == 4 || weft_active_count() == 3);
    MUST(weft_as_bool(result(task)) && weft_active_count() == 3);
    weft_task_free(task);
    weft_task_cancel(sleeper);
    weft_task_cancel(thread);
    MUST(weft_task_join(sleeper, WEFT_FOREVER) == 0 && weft_task_join(thread, WEFT_FOREVER) == 0);
    weft_task_free(sleeper);
    weft_task_free(thread);
    task = weft_spawn(WEFT_PROCESS, has_locals, weft_ptr(word));
    MUST(weft_as_int(result(task)) == 0 && *word == 9);
    weft_task_free(task);
}

START_TEST(a_process_inherits_nothing_of_its_starters)
{
    NEEDS_PIDFDS;
    root_runs(root_with_state);
}
END_TEST

/* Everything but the streams, as closefrom(3) of a daemon does; then the numbers are its own files'. What it does by shared memory leaves
 * these as they are; processes it has none. */
static weft_value closes_all(weft_value counter)
{
    enum { FILES = 8, BLOCKS = 64 };
    struct stat before[FILES], after[FILES];
    void *blocks[BLOCKS];
    int files[FILES];
    syscall(SYS_close_range, 3, ~0U, 0);
    for (int i = 0; i < FILES; i++) {
        files[i] = memfd_create("own", MFD_CLOEXEC);
        if (files[i] < 0 || ftruncate(files[i], 1) != 0 || fstat(files[i], &before[i]) != 0)
            return weft_error(errno, "a file of its own");
    }
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = weft_shared_alloc((size_t)1 << 18);
        if (!blocks[i])
            return weft_error(errno, "a block");
        memset(blocks[i], 1, (size_t)1 << 18);
    }
    for (int i = 0; i < BLOCKS; i++)
        weft_shared_free(blocks[i]);
    weft_task *task = weft_spawn(WEFT_PROCESS, twice, weft_int(1));
    int error = task ? 0 : errno;
    weft_task_free(task);
    for (int i = 0; i < FILES; i++)
        if (fstat(files[i], &after[i]) != 0 || after[i].st_size != 1 || after[i].st_blocks != before[i].st_blocks)
            return weft_error(EIO, "file %d has %lld octets, %lld blocks", i, (long long)after[i].st_size, (long long)after[i].st_blocks);
    weft_scalar_add(weft_as_ptr(counter), 1);
    return weft_int(error);
}

static void root_of_closers(void)
{
    weft_scalar *counter = weft_shared_new(weft_scalar);
    for (int method = WEFT_ZYGOTE; method <= WEFT_FORK; method++) {
        weft_task *task = weft_spawn(WEFT_PROCESS, closes_all, weft_ptr(counter), .method = (enum weft_process_method)method);
        weft_value value = result(task);
        MUST(weft_kind(value) == WEFT_INT && weft_as_int(value) == EBADF);
        weft_task_free(task);
    }
    MUST(weft_scalar_get(counter) == 2);
    weft_shared_free(counter);
}

START_TEST(who_closes_all_descriptors_has_his_numbers_for_himself)
{
    NEEDS_PIDFDS;
    root_runs(root_of_closers);
}
END_TEST

static int handled;

static weft_value looks_at_signals(weft_value unused)
{
    struct sigaction one, two;
    (void)unused;
    handled = sigaction(SIGUSR1, NULL, &one) == 0 && sigaction(SIGUSR2, NULL, &two) == 0 && one.sa_handler == SIG_DFL &&
              two.sa_handler == SIG_IGN;
    return weft_bool(handled);
}

static void root_with_handlers(void)
{
    signal(SIGUSR1, ignore);
    signal(SIGUSR2, SIG_IGN);
    weft_task *task = weft_spawn(WEFT_PROCESS, looks_at_signals, weft_none);
    MUST(weft_as_bool(result(task)));
    weft_task_free(task);
}

START_TEST(handlers_are_not_the_processes)
{
    NEEDS_PIDFDS;
    root_runs(root_with_handlers);
}
END_TEST

static weft_value where(weft_value unused)
{
    cpu_set_t set;
    (void)unused;
    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return weft_none;
    return weft_int(CPU_COUNT(&set) * 100 + getpriority(PRIO_PROCESS, 0));
}

static void root_of_the_placed(void)
{
    cpu_set_t set;
    char cpus[16];
    size_t first = 0;
    int nice = getpriority(PRIO_PROCESS, 0);
    MUST(sched_getaffinity(0, sizeof(set), &set) == 0);
    while (!CPU_ISSET(first, &set))
        first++;
    snprintf(cpus, sizeof(cpus), "%zu", first);
    weft_task *task = weft_spawn(WEFT_PROCESS, where, weft_none, .cpus = cpus, .nice = 1);
    int64_t found = weft_as_int(result(task));
    MUST(found == 100 + (nice < 19 ? nice + 1 : nice));
    weft_task_free(task);
    weft_value argument = weft_str("still ours");
    MUST(!weft_spawn(WEFT_PROCESS, where, argument, .cpus = "9999") && errno == EINVAL);
    weft_drop(argument);
    task = weft_task_new(WEFT_PROCESS, where, weft_none, .cpus = "9999");
    MUST(weft_task_start(task) == -1 && errno == EINVAL && weft_task_state_of(task) == WEFT_INITIAL && weft_active_count() == 1);
    weft_task_free(task);
}

START_TEST(a_process_is_placed)
{
    NEEDS_PIDFDS;
    root_runs(root_of_the_placed);
}
END_TEST

/* A function of a library that is loaded when the family has begun. */
static void root_with_a_library(void)
{
    weft_task *task = weft_spawn(WEFT_PROCESS, twice, weft_int(1));
    MUST(weft_as_int(result(task)) == 2);
    weft_task_free(task);
    void *library = dlopen("libBrokenLocale.so.1", RTLD_NOW | RTLD_LOCAL);
    uintptr_t address = library ? (uintptr_t)dlsym(library, "__ctype_get_mb_cur_max") : 0;
    if (!address)
        return;
    MUST(!weft_spawn(WEFT_PROCESS, (weft_function *)address, weft_none) && errno == ENOEXEC);
    task = weft_spawn(WEFT_PROCESS, twice, weft_int(1)); /* goes on */
    MUST(weft_as_int(result(task)) == 2);
    weft_task_free(task);
    dlclose(library);
}

START_TEST(a_function_that_is_not_there_is_told)
{
    NEEDS_PIDFDS;
    root_runs(root_with_a_library);
}
END_TEST

static weft_value spawns_down(weft_value depth)
{
    if (weft_as_int(depth) == 0)
        return weft_int(0);
    weft_task *task = weft_spawn(WEFT_PROCESS, spawns_down, weft_int(weft_as_int(depth) - 1));
    weft_value value;
    if (!task || weft_task_result(task, &value, WEFT_FOREVER) != 0)
        return weft_error(errno, NULL);
    weft_task_free(task);
    return weft_int(weft_as_int(value) + 1);
}

static void root_of_nested(void)
{
    weft_task *task = weft_spawn(WEFT_PROCESS, spawns_down, weft_int(5));
    MUST(weft_as_int(result(task)) == 5);
    weft_task_free(task);
}

START_TEST(processes_spawn_processes)
{
    NEEDS_PIDFDS;
    root_runs(root_of_nested);
}
END_TEST

static void root_that_selects(void)
{
    uint32_t *there = weft_shared_new(uint32_t);
    weft_value values[2] = {weft_none, weft_none};
    weft_task *slow = weft_spawn(WEFT_PROCESS, sleeps, weft_ptr(there)), *quick = weft_spawn(WEFT_PROCESS, twice, weft_int(4));
    weft_case cases[] = {weft_case_task(slow, &values[0]), weft_case_task(quick, &values[1])};
    MUST(weft_select(cases, 2, WEFT_FOREVER) == 1 && weft_as_int(values[1]) == 8);
    MUST(weft_select(cases, 1, weft_in(0.01)) == -1 && errno == ETIMEDOUT);
    weft_task_kill(slow);
    MUST(weft_select(cases, 1, WEFT_FOREVER) == 0 && weft_error_code(values[0]) == EOWNERDEAD);
    weft_drop(values[0]);
    weft_task_free(slow);
    weft_task_free(quick);
    slow = weft_task_new(WEFT_PROCESS, twice, weft_int(1));
    weft_case initial = weft_case_task(slow, NULL);
    MUST(weft_select(&initial, 1, WEFT_NOW) == 0 && initial.error == EINVAL);
    weft_task_free(slow);
}

START_TEST(a_process_is_a_case)
{
    NEEDS_PIDFDS;
    root_runs(root_that_selects);
}
END_TEST

static weft_value joins(weft_value task)
{
    return weft_int(weft_task_join(weft_as_ptr(task), WEFT_FOREVER));
}

static void root_with_many_joiners(void)
{
    uint32_t *there = weft_shared_new(uint32_t);
    weft_task *process = weft_spawn(WEFT_PROCESS, sleeps, weft_ptr(there)), *threads[4];
    for (int i = 0; i < 4; i++)
        MUST((threads[i] = weft_spawn(WEFT_THREAD, joins, weft_ptr(process))));
    weft_task_cancel(threads[0]);
    MUST(weft_as_int(result(threads[0])) == -1); /* the joiner, not the joined */
    MUST(root_until(there, 1) && weft_task_is_alive(process));
    weft_task_cancel(process);
    for (int i = 0; i < 4; i++) {
        MUST(i == 0 || weft_as_int(result(threads[i])) == 0);
        weft_task_free(threads[i]);
    }
    weft_task_free(process);
}

START_TEST(many_join_one)
{
    NEEDS_PIDFDS;
    root_runs(root_with_many_joiners);
}
END_TEST

/* Handles that go while the process runs; what they leave is cleared up. */
static void root_that_lets_go(void)
{
    uint32_t *count = weft_shared_new(uint32_t);
    for (int i = 0; i < 20; i++) {
        weft_task *task = weft_spawn(WEFT_PROCESS, adds, weft_ptr(count));
        MUST(task);
        weft_task_free(task);
    }
    MUST(root_until(count, 20));
    for (weft_time late = weft_in(20); weft_active_count() > 1;)
        MUST(weft_clock() < late);
}

START_TEST(a_handle_can_go_before_the_process)
{
    NEEDS_PIDFDS;
    root_runs(root_that_lets_go);
}
END_TEST

static void root_with_a_group(void)
{
    weft_value error = weft_none;
    weft_task *task = NULL;
    weft_group *group = weft_group_new();
    for (int i = 0; i < 3; i++)
        MUST(weft_group_spawn(group, WEFT_PROCESS, twice, weft_int(i)) == 0);
    MUST(weft_group_join(group, NULL, WEFT_FOREVER) == 0);
    weft_group_free(group);
    group = weft_group_new();
    MUST(weft_group_spawn_with(group,
             &(struct weft_spawn_options){
                 .size = sizeof(struct weft_spawn_options), .kind = WEFT_PROCESS, .function = sleeps, .argument = weft_none},
             &task) == 0);
    MUST(weft_task_kind_of(task) == WEFT_PROCESS && weft_task_is_alive(task));
    MUST(weft_group_spawn(group, WEFT_PROCESS, fails, weft_int(ENOENT)) == 0);
    MUST(weft_group_join(group, &error, WEFT_FOREVER) == 1 && weft_error_code(error) == ENOENT);
    MUST(weft_task_outcome(task) == WEFT_CANCELLED);
    MUST(weft_group_spawn(group, WEFT_PROCESS, twice, weft_int(1)) == -1 && errno == ECANCELED);
    weft_drop(error);
    weft_task_free(task);
    weft_group_free(group);
    group = weft_group_new();
    int mine;
    MUST(weft_group_spawn(group, WEFT_PROCESS, nothing, weft_ptr(&mine)) == -1 && errno == EFAULT);
    weft_group_free(group);
}

START_TEST(processes_are_members_of_groups)
{
    NEEDS_PIDFDS;
    root_runs(root_with_a_group);
}
END_TEST

static void root_with_threads(void)
{
    weft_task *thread = weft_spawn(WEFT_THREAD, sleeps, weft_none);
    errno = 0;
    MUST(!weft_spawn(WEFT_PROCESS, twice, weft_int(1), .method = WEFT_SPAWN) && errno == ENOSYS); /* nobody called weft_init */
    MUST(!weft_spawn(WEFT_PROCESS, twice, weft_int(1), .method = (enum weft_process_method)3) && errno == EINVAL);
    MUST(!weft_spawn(WEFT_PROCESS, twice, weft_int(1)) && errno == EBUSY);
    weft_task_cancel(thread);
    MUST(weft_task_join(thread, WEFT_FOREVER) == 0);
    weft_task_free(thread);
    weft_task *task = weft_spawn(WEFT_PROCESS, twice, weft_int(1));
    MUST(weft_as_int(result(task)) == 2);
    weft_task_free(task);
}

START_TEST(the_first_comes_before_there_are_threads)
{
    NEEDS_PIDFDS;
    root_runs(root_with_threads);
}
END_TEST

/* What happens at exit: who is no daemon is joined, who is one is killed. */
static void root_that_exits(void)
{
    uint32_t *there = weft_shared_new(uint32_t);
    weft_task *daemon = weft_spawn(WEFT_PROCESS, sleeps, weft_ptr(there), .daemon = true);
    MUST(root_until(there, 1));
    weft_task *task = weft_spawn(WEFT_PROCESS, says_later, weft_ptr(there));
    MUST(daemon && task);
    weft_task_free(daemon);
    weft_task_free(task);
    exit(0);
}

static weft_value spawns_and_returns(weft_value word)
{
    weft_task *task = weft_spawn(WEFT_PROCESS, says_later, weft_keep(word)),
              *daemon = weft_spawn(WEFT_PROCESS, sleeps, weft_none, .daemon = true);
    int pid = weft_task_native_id(daemon);
    weft_task_free(task);
    weft_task_free(daemon);
    return weft_int(pid);
}

static void root_of_one_that_exits(void)
{
    uint32_t *word = weft_shared_new(uint32_t);
    weft_task *task = weft_spawn(WEFT_PROCESS, spawns_and_returns, weft_ptr(word));
    int64_t daemon = weft_as_int(result(task));
    MUST(daemon > 0 && *word == 7);
    for (weft_time late = weft_in(20); kill((pid_t)daemon, 0) == 0;)
        MUST(weft_clock() < late);
    weft_task_free(task);
}

START_TEST(at_exit_all_are_joined_and_daemons_killed)
{
    NEEDS_PIDFDS;
    root_runs(root_that_exits);
    root_runs(root_of_one_that_exits);
}
END_TEST

/* In a child of the host's own the handles are lost, and nothing of theirs is touched. */
static void root_that_forks(void)
{
    uint32_t *there = weft_shared_new(uint32_t);
    weft_task *runs = weft_spawn(WEFT_PROCESS, sleeps, weft_ptr(there)), *ended = weft_spawn(WEFT_PROCESS, twice, weft_int(4));
    MUST(root_until(there, 1) && weft_task_join(ended, WEFT_FOREVER) == 0);
    pid_t child = fork();
    if (child == 0) {
        MUST(weft_task_join(runs, WEFT_FOREVER) == 0 && weft_task_outcome(runs) == WEFT_LOST);
        weft_task_cancel(runs);
        MUST(weft_task_kill(runs) == 0 && weft_task_terminate(ended) == 0);
        weft_value value;
        MUST(weft_task_result(ended, &value, WEFT_FOREVER) == 0);
        weft_task_free(runs);
        weft_task_free(ended);
        MUST(!weft_spawn(WEFT_PROCESS, twice, weft_int(1)) && errno == ESTALE);
        fixture_leave(0);
    }
    int status = -1;
    MUST(waitpid(child, &status, 0) == child && status == 0);
    MUST(weft_as_int(result(ended)) == 8 && weft_task_is_alive(runs));
    weft_task_free(ended);
    weft_task_kill(runs);
    MUST(weft_task_join(runs, WEFT_FOREVER) == 0);
    weft_task_free(runs);
    MUST(wait(NULL) == -1 && errno == ECHILD); /* nobody of the family is a child of the host's */
}

START_TEST(a_forked_child_is_no_member)
{
    NEEDS_PIDFDS;
    root_runs(root_that_forks);
}
END_TEST

/* What a dead supervisor had made dies with it; the next one makes others. */
static void root_that_loses_its_supervisor(void)
{
    uint32_t *there = weft_shared_new(uint32_t);
    weft_task *task = weft_spawn(WEFT_PROCESS, sleeps, weft_ptr(there));
    for (int i = 0; i < WEFTI_KEEPERS; i++) /* until there is a spare */
        MUST(root_until((uint32_t *)&wefti_family_now()->keepers[i].pid, 1));
    MUST(root_until(there, 1) && kill(wefti_family_now()->supervisor, SIGKILL) == 0);
    weft_value error = result(task);
    MUST(weft_error_code(error) == EOWNERDEAD && weft_task_outcome(task) == WEFT_LOST && weft_task_exitcode(task) == -SIGKILL);
    weft_drop(error);
    weft_task_free(task);
    for (int i = 0; i < 3; i++) {
        task = weft_spawn(WEFT_PROCESS, twice, weft_int(i));
        MUST(weft_as_int(result(task)) == 2 * i);
        weft_task_free(task);
    }
}

START_TEST(a_dead_supervisor_costs_its_tasks)
{
    NEEDS_PIDFDS;
    root_runs(root_that_loses_its_supervisor);
}
END_TEST

/* What a task's records and results take is given back, whoever died when. */
static void root_that_counts(void)
{
    struct wefti_blocks_census before, after;
    for (int i = 0; i < 8; i++) {
        weft_task *task = i % 4 == 0   ? weft_spawn(WEFT_PROCESS, dies, weft_int(SIGKILL))
                          : i % 4 == 1 ? weft_spawn(WEFT_PROCESS, nothing, weft_bytes(NULL, 0))
                          : i % 4 == 2 ? weft_spawn(WEFT_PROCESS, nothing, weft_str_f("%2000d", i))
                                       : weft_spawn(WEFT_PROCESS, spawns_down, weft_int(1));
        MUST(task && weft_task_join(task, WEFT_FOREVER) == 0);
        weft_task_free(task);
        if (i == 3) /* what stays of the first of each: lives, the family */
            wefti_blocks_count(&before);
    }
    weft_time late = weft_in(20);
    do { /* who joins is told of an end a moment before the supervisor lets go of the record */
        wefti_blocks_count(&after);
        MUST(weft_sleep(0.005) == 0 && weft_clock() < late);
    } while (after.wrong || after.committed > before.committed + 2 || after.octets > before.octets + 8192);
}

START_TEST(nothing_stays_in_the_arena)
{
    NEEDS_PIDFDS;
    root_runs(root_that_counts);
}
END_TEST

#ifdef WEFTI_SMALL
static long failing;

static weft_value repeats(weft_value text)
{
    return weft_tuple((weft_value[]){weft_keep(text), weft_keep(text)}, 2);
}

/* Each call fails and says so, or gets over it; then it works. */
static void root_with_a_fault(void)
{
    weft_task *task = weft_spawn(WEFT_PROCESS, twice, weft_int(1)); /* what is made later has no faults */
    weft_value text = weft_str_f("%1000d", 1), value = weft_none;
    MUST(weft_as_int(result(task)) == 2);
    weft_task_free(task);
    weft_small_fail_after(failing);
    task = weft_spawn(WEFT_PROCESS, repeats, text, .cpus = NULL);
    int error = errno, struck = !task;
    if (struck)
        weft_small_fail_after(0);
    MUST(task || error == ENOMEM || error == EMFILE || error == EAGAIN);
    if (!task)
        MUST((task = weft_spawn(WEFT_PROCESS, repeats, text)));
    if (weft_task_result(task, &value, WEFT_FOREVER) != 0) {
        MUST(!struck++ && errno == ENOMEM);
        weft_small_fail_after(0);
        MUST(weft_task_result(task, &value, WEFT_FOREVER) == 0);
    }
    bool reached = weft_small_asked() >= failing || struck;
    weft_small_fail_after(0);
    MUST(weft_kind(value) == WEFT_TUPLE);
    weft_drop(value);
    weft_task_free(task);
    if (!reached)
        fixture_leave(255);
}

START_TEST(whatever_it_asks_for_may_fail)
{
    NEEDS_PIDFDS;
    int status = 0;
    for (failing = 1; status == 0 && failing < 100; failing++)
        status = root_status(root_start(root_with_a_fault));
    ck_assert_int_eq(status, 255 << 8);
    ck_assert_int_gt((int)failing, 6);
}
END_TEST
#endif

/* The process between a task of WEFT_FORK and its maker. */

struct three {
    pid_t between, child;
    struct wefti_task_record *record;
    uint32_t there;
};

static weft_value makes_by_fork(weft_value pointer)
{
    struct three *three = weft_as_ptr(pointer);
    weft_task *task = weft_spawn(WEFT_PROCESS, sleeps, weft_ptr(&three->there), .method = WEFT_FORK);
    if (!task)
        return weft_error(errno, NULL);
    three->between = task->process->between;
    three->child = weft_task_native_id(task);
    three->record = task->process->record;
    return sleeps(weft_ptr(&three->there));
}

/* Whether this stands in the file of that name that /proc has of the process. */
static bool proc_has(pid_t pid, const char *name, const char *what)
{
    char path[64], line[512];
    bool found = false;
    snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
    FILE *file = fopen(path, "re");
    MUST(file);
    while (!found && fgets(line, sizeof(line), file))
        found = strstr(line, what);
    fclose(file);
    return found;
}

static bool soon(bool (*holds)(const struct three *three), const struct three *three)
{
    for (weft_time late = weft_in(20); !holds(three);)
        if (weft_sleep(0.001) != 0 || weft_clock() > late)
            return false;
    return true;
}

static bool between_waits(const struct three *three)
{
    return proc_has(three->between, "comm", "weft-between");
}

static bool between_is_stopped(const struct three *three)
{
    return proc_has(three->between, "stat", ") T ");
}

static bool record_is_gone(const struct three *three)
{
    return !wefti_block_committed(three->record);
}

/* Maker and task are dead, and their record is free, before the one in between learns of it: whoever has that memory then keeps it. */
static void root_of_one_in_between(void)
{
    static char then[sizeof(struct wefti_task_record)];
    struct three *three = weft_shared_new(struct three);
    weft_task *maker = weft_spawn(WEFT_PROCESS, makes_by_fork, weft_ptr(three));
    MUST(maker && root_until(&three->there, 2) && soon(between_waits, three));
    MUST(!proc_has(three->between, "maps", "weft-arena"));
    int pidfd = (int)syscall(SYS_pidfd_open, three->between, 0);
    MUST(pidfd >= 0 && kill(three->between, SIGSTOP) == 0 && soon(between_is_stopped, three));
    MUST(kill(three->child, SIGKILL) == 0 && weft_task_kill(maker) == 0 && weft_task_join(maker, weft_in(20)) == 0);
    MUST(soon(record_is_gone, three));
    memcpy(then, three->record, sizeof(then));
    MUST(syscall(SYS_pidfd_send_signal, pidfd, SIGCONT, NULL, 0) == 0);
    struct pollfd end = {.fd = pidfd, .events = POLLIN};
    MUST(poll(&end, 1, 20000) == 1 && memcmp(then, three->record, sizeof(then)) == 0);
    close(pidfd);
    weft_task_free(maker);
    weft_shared_free(three);
}

START_TEST(who_waits_between_outlives_both)
{
    NEEDS_PIDFDS;
    root_runs(root_of_one_in_between);
}
END_TEST

/* The parent's children, one after another, each at some moment soon after it came: until the parent kills this. */
_Noreturn static void kills_children_of(pid_t parent)
{
    char path[64];
    unsigned moment = 1;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", parent, parent);
    for (;;) {
        int child = 0;
        FILE *file = fopen(path, "re");
        while (file && fscanf(file, "%d", &child) == 1 && child == getpid())
            child = 0;
        if (file)
            fclose(file);
        int pidfd = child > 0 && child != getpid() ? (int)syscall(SYS_pidfd_open, child, 0) : -1;
        if (pidfd < 0)
            continue;
        moment = moment * 1103515245 + 12345;
        for (weft_time until = weft_clock() + moment / 65536 % 512 * 1024; weft_clock() < until;)
            ;
        syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
        close(pidfd);
    }
}

/* Each start ends, in a task, which then ends too, or in none. */
static void root_that_loses_those_in_between(void)
{
    enum { MANY = 50 };
    int failed = 0, lost = 0;
    MUST(weft_as_int(result(weft_spawn(WEFT_PROCESS, twice, weft_int(1)))) == 2); /* the family is there */
    pid_t self = getpid(), killer = fork();
    if (killer == 0)
        kills_children_of(self);
    for (int i = 0; i < MANY; i++) {
        weft_value value;
        weft_task *task = weft_spawn(WEFT_PROCESS, twice, weft_int(i), .method = WEFT_FORK);
        MUST(task || errno == EAGAIN);
        failed += !task;
        if (!task)
            continue;
        MUST(weft_task_result(task, &value, weft_in(20)) == 0);
        MUST(weft_is_error(value) ? weft_error_code(value) == EOWNERDEAD : weft_as_int(value) == 2 * i);
        lost += weft_is_error(value);
        weft_drop(value);
        weft_task_free(task);
    }
    MUST(kill(killer, SIGKILL) == 0 && waitpid(killer, NULL, 0) == killer);
    MUST(weft_as_int(result(weft_spawn(WEFT_PROCESS, twice, weft_int(2), .method = WEFT_FORK))) == 4);
    printf("%d of %d were not started, %d were lost\n", failed, MANY, lost);
}

START_TEST(who_waits_between_may_die)
{
    NEEDS_PIDFDS;
    if (access("/proc/thread-self/children", R_OK) != 0)
        fixture_skip("the kernel lists no children");
    root_runs(root_that_loses_those_in_between);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_process_runs_and_gives_its_result);
    tcase_add_test(tests, values_cross_both_ways);
    tcase_add_test(tests, what_cannot_cross_is_told);
    tcase_add_test(tests, an_error_is_a_result);
    tcase_add_test(tests, who_dies_without_a_result_is_lost);
    tcase_add_test(tests, what_a_process_forked_does_not_answer_for_it);
    tcase_add_test(tests, a_dumped_core_is_told);
    tcase_add_test(tests, states_follow_each_other);
    tcase_add_test(tests, a_process_knows_who_it_is);
    tcase_add_test(tests, cancelling_ends_every_wait);
    tcase_add_test(tests, terminate_and_kill);
    tcase_add_test(tests, threads_inside_end_as_those_of_a_program);
    tcase_add_test(tests, a_process_inherits_nothing_of_its_starters);
    tcase_add_test(tests, who_closes_all_descriptors_has_his_numbers_for_himself);
    tcase_add_test(tests, handlers_are_not_the_processes);
    tcase_add_test(tests, a_process_is_placed);
    tcase_add_test(tests, a_function_that_is_not_there_is_told);
    tcase_add_test(tests, processes_spawn_processes);
    tcase_add_test(tests, a_process_is_a_case);
    tcase_add_test(tests, many_join_one);
    tcase_add_test(tests, a_handle_can_go_before_the_process);
    tcase_add_test(tests, processes_are_members_of_groups);
    tcase_add_test(tests, the_first_comes_before_there_are_threads);
    tcase_add_test(tests, at_exit_all_are_joined_and_daemons_killed);
    tcase_add_test(tests, a_forked_child_is_no_member);
    tcase_add_test(tests, a_dead_supervisor_costs_its_tasks);
    tcase_add_test(tests, nothing_stays_in_the_arena);
    tcase_add_test(tests, who_waits_between_outlives_both);
    tcase_add_test(tests, who_waits_between_may_die);
#ifdef WEFTI_SMALL
    tcase_add_test(tests, whatever_it_asks_for_may_fail);
#endif
}

int main(void)
{
    return fixture_main("process", add);
}
