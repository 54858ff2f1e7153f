/* SPDX-License-Identifier: MIT */
/* Where processes come from: the zygote, a fork of the present, a fresh image; and what becomes of them when their root dies. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "family_root.h"

static const enum weft_process_method methods[] = {WEFT_ZYGOTE, WEFT_FORK, WEFT_SPAWN};
enum { METHODS = 3 };

static int present; /* changed after the family began */

static weft_value looks(weft_value unused)
{
    (void)unused;
    return weft_int(present);
}

static weft_value sleeps(weft_value word)
{
    uint32_t *there = weft_as_ptr(word);
    if (there) {
        __atomic_add_fetch(there, 1, __ATOMIC_RELEASE);
        weft_wake(there, UINT32_MAX);
    }
    return weft_sleep(1000) == 0 ? weft_none : weft_error(errno, NULL);
}

static weft_value exits(weft_value how)
{
    exit((int)weft_as_int(how));
}

static weft_value fails(weft_value code)
{
    return weft_error((int)weft_as_int(code), "%s in %s", weft_task_name(weft_main()), weft_task_name(weft_current()));
}

static weft_value dies(weft_value signal)
{
    raise((int)weft_as_int(signal));
    return weft_none;
}

static weft_value result(weft_task *task)
{
    weft_value value;
    MUST(task && weft_task_result(task, &value, WEFT_FOREVER) == 0);
    return value;
}

/* Of a task that is made so. */
static void verbs(enum weft_process_method method)
{
    uint32_t *there = weft_shared_new(uint32_t);
    weft_task *task = weft_spawn(WEFT_PROCESS, looks, weft_none, .method = method);
    MUST(weft_as_int(result(task)) == (method == WEFT_ZYGOTE ? 1 : method == WEFT_FORK ? 2 : 0));
    MUST(weft_task_exitcode(task) == 0 && weft_task_outcome(task) == WEFT_DONE && weft_task_native_id(task) != getpid());
    weft_task_free(task);

    task = weft_spawn(WEFT_PROCESS, fails, weft_int(ENOENT), .method = method, .name = "one");
    weft_value error = result(task);
    MUST(weft_error_code(error) == ENOENT && strcmp(weft_error_text(error), "one in one") == 0 && weft_task_exitcode(task) == 1);
    weft_drop(error);
    weft_task_free(task);

    task = weft_spawn(WEFT_PROCESS, exits, weft_int(3), .method = method);
    error = result(task);
    MUST(weft_error_code(error) == EOWNERDEAD && weft_task_exitcode(task) == 3 && weft_task_outcome(task) == WEFT_LOST);
    weft_drop(error);
    weft_task_free(task);

    task = weft_spawn(WEFT_PROCESS, dies, weft_int(SIGKILL), .method = method);
    MUST(weft_task_join(task, WEFT_FOREVER) == 0 && weft_task_exitcode(task) == -SIGKILL);
    weft_task_free(task);

    task = weft_spawn(WEFT_PROCESS, sleeps, weft_ptr(there), .method = method);
    MUST(root_until(there, 1));
    weft_task_cancel(task);
    MUST(weft_task_join(task, WEFT_FOREVER) == 0 && weft_task_outcome(task) == WEFT_CANCELLED);
    weft_task_free(task);

    task = weft_spawn(WEFT_PROCESS, sleeps, weft_ptr(there), .method = method);
    MUST(root_until(there, 2) && weft_task_terminate(task) == 0);
    MUST(weft_task_join(task, WEFT_FOREVER) == 0 && weft_task_exitcode(task) == -SIGTERM);
    weft_task_free(task);
    MUST(wait(NULL) == -1 && errno == ECHILD); /* no process of the family is one of the host's */
    weft_shared_free(there);
}

static void root_of_methods(void)
{
    present = 1;
    weft_task *task = weft_spawn(WEFT_PROCESS, looks, weft_none);
    MUST(weft_as_int(result(task)) == 1);
    weft_task_free(task);
    present = 2;
    for (int i = 0; i < METHODS; i++)
        verbs(methods[i]);
}

START_TEST(each_method_has_all_verbs)
{
    NEEDS_PIDFDS;
    root_runs(root_of_methods);
}
END_TEST

/* Digits are the methods of the processes below, one in the other; what comes back is how many there were. */
static weft_value nests(weft_value digits)
{
    int64_t all = weft_as_int(digits);
    if (all == 0)
        return weft_int(0);
    weft_task *task = weft_spawn(WEFT_PROCESS, nests, weft_int(all / 10), .method = (enum weft_process_method)(all % 10 - 1));
    weft_value value;
    if (!task)
        return weft_error(errno, "at %d", (int)all);
    if (weft_task_result(task, &value, WEFT_FOREVER) != 0)
        return weft_error(errno, NULL);
    weft_task_free(task);
    return weft_is_error(value) ? value : weft_int(weft_as_int(value) + 1);
}

static void root_of_nested(void)
{
    for (int first = 1; first <= METHODS; first++)
        for (int second = 1; second <= METHODS; second++) {
            weft_value value = nests(weft_int(first + 10 * second + 100));
            MUST(weft_as_int(value) == 3);
        }
}

START_TEST(each_method_in_each)
{
    NEEDS_PIDFDS;
    root_runs(root_of_nested);
}
END_TEST

static void root_with_threads(void)
{
    weft_task *task = weft_spawn(WEFT_PROCESS, looks, weft_none), *thread = weft_spawn(WEFT_THREAD, sleeps, weft_none);
    MUST(weft_as_int(result(task)) == 0);
    weft_task_free(task);
    present = 5;
    MUST(!weft_spawn(WEFT_PROCESS, looks, weft_none, .method = WEFT_FORK) && errno == EBUSY);
    if (!FIXTURE_TSAN) {
        task = weft_spawn(WEFT_PROCESS, looks, weft_none, .method = WEFT_FORK, .insist = true);
        MUST(weft_as_int(result(task)) == 5);
        weft_task_free(task);
    }
    weft_task_cancel(thread);
    MUST(weft_task_join(thread, WEFT_FOREVER) == 0);
    weft_task_free(thread);
}

START_TEST(a_fork_beside_threads_is_refused)
{
    NEEDS_PIDFDS;
    root_runs(root_with_threads);
}
END_TEST

/* What a program has when it is forked: coroutines that wait in each way, pools of threads and of processes, timers. */
enum { PARKED = 4 };
static struct {
    weft_event event, over;
    weft_queue *queue;
    int ends[2], sockets[2];
    weft_task *parked[PARKED];
    weft_pool *threads, *processes;
    weft_future *running, *waiting, *afar;
    weft_timer *timer;
    uint64_t ticks;
    int started; /* parked, and of the pool's */
} parent;

static void began(void)
{
    __atomic_add_fetch(&parent.started, 1, __ATOMIC_RELEASE);
}

static weft_value parks_for_event(weft_value none)
{
    began();
    return weft_event_wait(&parent.event, WEFT_FOREVER) == 0 ? none : weft_error(errno, NULL);
}

static weft_value parks_in_queue(weft_value none)
{
    began();
    weft_value value;
    return weft_queue_get(parent.queue, &value, WEFT_FOREVER) == 0 && weft_as_int(value) == 5 ? none : weft_error(errno, NULL);
}

static weft_value parks_for(int descriptor)
{
    char octet = 0;
    began();
    return weft_read(descriptor, &octet, 1, WEFT_FOREVER) == 1 && octet == 'p' ? weft_none : weft_error(errno, NULL);
}

static weft_value parks_at_pipe(weft_value unused)
{
    (void)unused;
    return parks_for(parent.ends[0]);
}

static weft_value parks_at_socket(weft_value unused)
{
    (void)unused;
    return parks_for(parent.sockets[0]);
}

static weft_value until_over(weft_value none)
{
    began();
    return weft_event_wait(&parent.over, WEFT_FOREVER) == 0 ? none : weft_error(errno, NULL);
}

static weft_value count_tick(weft_value none)
{
    __atomic_add_fetch(&parent.ticks, 1, __ATOMIC_RELAXED);
    return none;
}

/* A fork takes the lock of AddressSanitizer's allocator along as it is, whoever has it: with that, others rest while one is made. */
static const double tick = FIXTURE_ASAN ? 0.25 : 0.0005, rest = FIXTURE_ASAN ? 0.05 : 0;

static void parent_begin(void)
{
    weft_function *const ways[PARKED] = {parks_for_event, parks_in_queue, parks_at_pipe, parks_at_socket};
    MUST((parent.processes = weft_pool_new(WEFT_PROCESS, .workers = 1)));
    MUST(pipe(parent.ends) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, parent.sockets) == 0);
    MUST((parent.queue = weft_queue_new()));
    for (int i = 0; i < PARKED; i++)
        MUST((parent.parked[i] = weft_spawn(WEFT_COROUTINE, ways[i], weft_none)));
    MUST((parent.threads = weft_pool_new(WEFT_THREAD, .workers = 1)));
    MUST((parent.running = weft_pool_submit(parent.threads, until_over, weft_none)));
    MUST((parent.waiting = weft_pool_submit(parent.threads, until_over, weft_none)));
    MUST((parent.timer = weft_every(tick, count_tick, weft_none)));
    while (__atomic_load_n(&parent.started, __ATOMIC_ACQUIRE) < PARKED + 1)
        MUST(weft_sleep(0.0005) == 0);
    MUST(weft_sleep(rest) == 0);
}

/* All of it has gone on. */
static void parent_end(void)
{
    uint64_t ticks = weft_timer_count(parent.timer);
    for (int i = 0; i < PARKED; i++)
        MUST(weft_task_join(parent.parked[i], WEFT_NOW) == -1 && errno == EAGAIN);
    weft_event_set(&parent.event);
    MUST(weft_queue_put(parent.queue, weft_int(5), WEFT_NOW) == 0);
    MUST(write(parent.ends[1], "p", 1) == 1 && write(parent.sockets[1], "p", 1) == 1);
    for (int i = 0; i < PARKED; i++) {
        MUST(weft_is_none(result(parent.parked[i])));
        weft_task_free(parent.parked[i]);
    }
    MUST(weft_future_running(parent.running) && !weft_future_running(parent.waiting));
    weft_event_set(&parent.over);
    MUST(weft_future_result(parent.running, NULL, WEFT_FOREVER) == 0 && weft_future_result(parent.waiting, NULL, WEFT_FOREVER) == 0);
    while (weft_timer_count(parent.timer) < ticks + 2)
        MUST(weft_sleep(0.0005) == 0);
    weft_timer_cancel(parent.timer);
    weft_timer_free(parent.timer);
    weft_future_free(parent.running);
    weft_future_free(parent.waiting);
    weft_pool_free(parent.threads);
    weft_pool_free(parent.processes);
    weft_queue_free(parent.queue);
}

static weft_value add_one(weft_value number)
{
    return weft_int(weft_as_int(number) + 1);
}

/* Coroutines of the child's own: they take turns, wait for time and for descriptors. */
static weft_value echoes(weft_value descriptor)
{
    char octet = 0;
    MUST(weft_sleep(0.0005) == 0);
    MUST(weft_read((int)weft_as_int(descriptor), &octet, 1, WEFT_FOREVER) == 1);
    return weft_int(octet);
}

static void own_coroutines_work(void)
{
    int own[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, own) == 0);
    weft_task *one = weft_spawn(WEFT_COROUTINE, echoes, weft_int(own[0])), *other = weft_spawn(WEFT_COROUTINE, add_one, weft_int(2));
    MUST(weft_as_int(result(other)) == 3 && weft_write_all(own[1], "z", 1, WEFT_FOREVER) == 0 && weft_as_int(result(one)) == 'z');
    weft_task_free(one);
    weft_task_free(other);
    close(own[0]);
    close(own[1]);
}

static void own_pools_and_timers_work(void)
{
    weft_value value;
    weft_pool *own = weft_pool_new(WEFT_THREAD, .workers = 2);
    MUST(own && weft_pool_apply(own, add_one, weft_int(7), &value, WEFT_FOREVER) == 0 && weft_as_int(value) == 8);
    weft_pool_free(own);
    own = weft_pool_new(WEFT_COROUTINE, .threads = 1);
    MUST(own && weft_pool_apply(own, add_one, weft_int(8), &value, WEFT_FOREVER) == 0 && weft_as_int(value) == 9);
    weft_pool_free(own);
    weft_timer *timer = weft_after(0.001, add_one, weft_int(1));
    MUST(timer && weft_timer_join(timer, WEFT_FOREVER) == 0 && weft_timer_count(timer) == 1);
    weft_timer_free(timer);
    MUST(weft_offload(add_one, weft_int(3), &value, WEFT_FOREVER) == 0 && weft_as_int(value) == 4);
}

/* In the child: what it has of its parent's. */
static weft_value finds_itself_alone(weft_value unused)
{
    (void)unused;
    weft_task *tasks[2] = {NULL};
    MUST(weft_tasks(tasks, 2) == 1 && tasks[0] == weft_current() && weft_main() == weft_current() && weft_active_count() == 1);
    weft_task_free(tasks[0]);
    MUST(weft_hub_run_once() == 0); /* no coroutines */
    for (int i = 0; i < PARKED; i++) {
        weft_value lost = result(parent.parked[i]);
        MUST(weft_error_code(lost) == EOWNERDEAD && weft_task_outcome(parent.parked[i]) == WEFT_LOST);
        weft_drop(lost);
    }
    MUST(!weft_pool_submit(parent.threads, add_one, weft_int(1)) && errno == ESTALE);
    MUST(weft_pool_shutdown(parent.threads, false, WEFT_FOREVER) == -1 && errno == ESTALE);
    MUST(weft_pool_resize(parent.threads, 3) == -1 && errno == ESTALE);
    MUST(weft_timer_join(parent.timer, WEFT_NOW) == 0);
    uint64_t ticks = __atomic_load_n(&parent.ticks, __ATOMIC_RELAXED);
    weft_value value;
    MUST(weft_pool_apply(parent.processes, add_one, weft_int(1), &value, WEFT_FOREVER) == 0 && weft_as_int(value) == 2); /* the family's */
    own_coroutines_work();
    own_pools_and_timers_work();
    MUST(__atomic_load_n(&parent.ticks, __ATOMIC_RELAXED) == ticks);
    return weft_int(1);
}

static weft_value forks_here(weft_value insist)
{
    weft_task *task = weft_spawn(WEFT_PROCESS, finds_itself_alone, weft_none, .method = WEFT_FORK, .insist = weft_as_bool(insist));
    weft_value value = result(task);
    weft_task_free(task);
    return value;
}

static const char *parent_io;

static void root_with_everything(void)
{
    weft_value value;
    setenv("WEFT_IO", parent_io, 1);
    parent_begin();
    MUST(weft_as_int(forks_here(weft_bool(true))) == 1);
    weft_task *task = weft_spawn(WEFT_COROUTINE, forks_here, weft_bool(true));
    MUST(weft_as_int(result(task)) == 1);
    weft_task_free(task);
    MUST(weft_pool_apply(parent.processes, add_one, weft_int(4), &value, WEFT_FOREVER) == 0 && weft_as_int(value) == 5);
    parent_end();
}

START_TEST(a_fork_inherits_no_tasks_hubs_or_pools)
{
    static const char *const ios[] = {"epoll", "io_uring"};
    NEEDS_PIDFDS;
    if (FIXTURE_TSAN)
        fixture_skip("ThreadSanitizer does not survive forks beside threads");
    parent_io = ios[_i];
    root_runs(root_with_everything);
}
END_TEST

/* The first process task of a program that has threads already. */
static void root_that_is_late(void)
{
    weft_task *thread = weft_spawn(WEFT_THREAD, sleeps, weft_none);
    present = 6;
    for (int i = 0; i < 3; i++) {
        weft_task *task = weft_spawn(WEFT_PROCESS, looks, weft_none);
        MUST(weft_as_int(result(task)) == 0);
        weft_task_free(task);
    }
    weft_value value = nests(weft_int(111));
    MUST(weft_as_int(value) == 3);
    weft_task_cancel(thread);
    MUST(weft_task_join(thread, WEFT_FOREVER) == 0);
    weft_task_free(thread);
}

START_TEST(who_comes_late_has_fresh_images)
{
    NEEDS_PIDFDS;
    if (FIXTURE_TSAN)
        fixture_skip("ThreadSanitizer does not survive forks beside threads");
    root_runs(root_that_is_late);
}
END_TEST

static void root_that_changes_user(void)
{
    weft_task *task = weft_spawn(WEFT_PROCESS, looks, weft_none);
    MUST(weft_as_int(result(task)) == 0);
    weft_task_free(task);
    MUST(setresuid(65534, 65534, 65534) == 0);
    MUST(!weft_spawn(WEFT_PROCESS, looks, weft_none) && errno == EPERM);
    MUST(!weft_spawn(WEFT_PROCESS, looks, weft_none, .method = WEFT_SPAWN) && errno == EPERM);
}

START_TEST(who_has_changed_user_gets_none_with_the_old_one)
{
    NEEDS_PIDFDS;
    if (geteuid() != 0)
        fixture_skip("only root can become another user");
    root_runs(root_that_changes_user);
}
END_TEST

/* Starts one of each method, and then waits with them. */
static weft_value has_children(weft_value word)
{
    for (int i = 0; i < METHODS; i++) {
        weft_task *task = weft_spawn(WEFT_PROCESS, sleeps, weft_keep(word), .method = methods[i]);
        if (!task)
            return weft_error(errno, NULL);
    }
    return sleeps(word);
}

/* Has a large family, whose standard output is a pipe, and dies in some way. Beside them plain children, as many, that have another. */
enum { DESCENDANTS = METHODS * (METHODS + 1) };
static int ends[2], plain[2];
static int how;

/* One whom the kernel itself kills when the root dies. */
static void plain_child(pid_t root)
{
    if (fork() != 0)
        return;
    close(ends[1]);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (setpgid(0, 0); getppid() == root;)
        pause();
    fixture_leave(0);
}

static void root_that_dies(void)
{
    close(ends[0]);
    close(plain[0]);
    for (int i = 0; i < DESCENDANTS; i++)
        plain_child(getpid());
    close(plain[1]);
    MUST(dup2(ends[1], STDOUT_FILENO) == STDOUT_FILENO && close(ends[1]) == 0);
    MUST(setpgid(0, 0) == 0 && signal(SIGINT, SIG_DFL) != SIG_ERR); /* Check has a handler */
    uint32_t *there = weft_shared_new(uint32_t);
    for (int i = 0; i < METHODS; i++)
        MUST(weft_spawn(WEFT_PROCESS, has_children, weft_ptr(there), .method = methods[i]));
    MUST(root_until(there, DESCENDANTS));
    if (fork() == 0) { /* the host's own, and none of the family */
        close(STDOUT_FILENO);
        MUST(!weft_spawn(WEFT_PROCESS, looks, weft_none) && errno == ESTALE);
        sleep(1);
        fixture_leave(0);
    }
    MUST(weft_spawn(WEFT_PROCESS, has_children, weft_ptr(there))); /* and one that is only just coming */
    if (how == 0)
        raise(SIGKILL);
    if (how == 1)
        abort();
    if (how == 2)
        kill(0, SIGINT); /* as Ctrl-C in a terminal: all of the group have it */
    _exit(0);
}

/* Until nobody has the other end of the pipe any more, which is closed then; when that was. */
static weft_time pipe_ended(int fd)
{
    char octet;
    struct pollfd end = {.fd = fd, .events = POLLIN};
    ck_assert_int_eq(poll(&end, 1, 20000), 1);
    ck_assert_int_eq(read(fd, &octet, 1), 0);
    close(fd);
    return weft_clock();
}

/*
 * None of its descendants has the pipe any more, a second after its death at the latest: on a machine that lets processes end when they are
 * killed. How long this one takes at that moment the plain children tell. Some milliseconds each where nothing else runs, and 0.4 s for one
 * that nobody has adopted yet. What is allowed is a second and the SLACK-fold of the plain children's time: those are killed by the kernel
 * at once, where a family's supervisor has to wake first, and others after it.
 */
START_TEST(nobody_outlives_the_root)
{
    NEEDS_PIDFDS;
    enum { SECOND = 1000000000, SLACK = 10 };
    for (how = 0; how < 4; how++) {
        ck_assert_int_eq(pipe(ends), 0);
        ck_assert_int_eq(pipe(plain), 0);
        pid_t root = root_start(root_that_dies);
        close(ends[1]);
        close(plain[1]);
        root_status(root);
        weft_time died = weft_clock(), control = pipe_ended(plain[0]) - died, family = pipe_ended(ends[0]) - died;
        ck_assert_msg(family < SECOND + SLACK * control, "the family took %.3f s, plain children %.3f s", (double)family * 1e-9,
            (double)control * 1e-9);
    }
}
END_TEST

static weft_value prints(weft_value text)
{
    printf("%s ", weft_as_str(text));
    return weft_none;
}

/* Into a pipe, with room for all of it in the buffer. */
static void root_that_prints(void)
{
    static const char *const texts[METHODS] = {"zygote", "fork", "spawn"};
    char said[100] = "";
    int pipe_ends[2];
    MUST(pipe(pipe_ends) == 0 && dup2(pipe_ends[1], 1) == 1 && setvbuf(stdout, NULL, _IOFBF, 4096) == 0);
    printf("host ");
    for (int i = 0; i < METHODS; i++) {
        if (methods[i] == WEFT_FORK)
            printf("present ");
        weft_task *task = weft_spawn(WEFT_PROCESS, prints, weft_str(texts[i]), .method = methods[i]);
        result(task);
        weft_task_free(task);
    }
    printf("end");
    MUST(fflush(stdout) == 0 && read(pipe_ends[0], said, sizeof(said) - 1) > 0);
    MUST(strcmp(said, "host zygote present fork spawn end") == 0);
}

START_TEST(what_is_buffered_is_printed_once)
{
    NEEDS_PIDFDS;
    root_runs(root_that_prints);
}
END_TEST

static weft_value is_ignored(weft_value number)
{
    struct sigaction action;
    return weft_bool(sigaction((int)weft_as_int(number), NULL, &action) == 0 && action.sa_handler == SIG_IGN);
}

static void root_that_ignores_children(void)
{
    signal(SIGCHLD, SIG_IGN);
    root_of_methods();
    for (int i = 0; i < METHODS; i++) {
        weft_task *task = weft_spawn(WEFT_PROCESS, is_ignored, weft_int(SIGCHLD), .method = methods[i]);
        MUST(weft_as_bool(result(task)));
        weft_task_free(task);
    }
}

static void root_of_no_zombies(void)
{
    sigaction(SIGCHLD, &(struct sigaction){.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT}, NULL);
    root_of_methods();
}

/* Their exit codes are no others. */
START_TEST(the_host_may_ignore_its_children)
{
    NEEDS_PIDFDS;
    root_runs(_i ? root_of_no_zombies : root_that_ignores_children);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, each_method_has_all_verbs);
    tcase_add_test(tests, each_method_in_each);
    tcase_add_test(tests, what_is_buffered_is_printed_once);
    tcase_add_loop_test(tests, the_host_may_ignore_its_children, 0, 2);
    tcase_add_test(tests, a_fork_beside_threads_is_refused);
    tcase_add_loop_test(tests, a_fork_inherits_no_tasks_hubs_or_pools, 0, 2);
    tcase_add_test(tests, who_comes_late_has_fresh_images);
    tcase_add_test(tests, who_has_changed_user_gets_none_with_the_old_one);
    tcase_add_test(tests, nobody_outlives_the_root);
}

int main(int argc, char **argv)
{
    weft_init(argc, argv);
    return fixture_main("process_methods", add);
}
