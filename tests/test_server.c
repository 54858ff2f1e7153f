/* SPDX-License-Identifier: MIT */
/* Servers of every kind: that all are served, the limit, the stop, slow clients, what runs out. */
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "family_root.h"

static char address[128];
static uint32_t accepts; /* tries to accept */

/* Before the C library's. */
int accept4(int fd, __SOCKADDR_ARG from, socklen_t *length, int flags)
{
    __atomic_add_fetch(&accepts, 1, __ATOMIC_RELAXED);
    return (int)syscall(SYS_accept4, fd, from.__sockaddr__, length, flags);
}

static int listen_somewhere(void)
{
    int listener = weft_listen("127.0.0.1:0");
    ck_assert_int_ge(listener, 0);
    ck_assert_int_gt(weft_socket_address(listener, address, sizeof(address)), 0);
    return listener;
}

/* Answers each octet with the next one, plus the argument; 'q' ends it, 'p' says which process it is, 'k' kills that, 'f' forks, and tells
 * the status of the copy, which returns. */
static void answer(int fd, weft_value argument)
{
    char octet;
    while (weft_read(fd, &octet, 1, WEFT_FOREVER) == 1 && octet != 'q') {
        int pid = getpid();
        if (octet == 'k')
            raise(SIGKILL);
        pid_t copy = octet == 'f' ? fork() : 1;
        if (copy == 0)
            return;
        if (octet == 'f' && (waitpid(copy, &pid, 0) != copy || weft_write_all(fd, &pid, sizeof(pid), weft_in(20))))
            break;
        if (octet == 'f')
            continue;
        octet = (char)(octet + 1 + weft_as_int(argument));
        if (octet == 'p' + 1 ? weft_write_all(fd, &pid, sizeof(pid), weft_in(20)) : weft_write_all(fd, &octet, 1, weft_in(20)))
            break;
    }
}

static int dial(void)
{
    int fd = weft_dial(address, weft_in(20));
    ck_assert_int_ge(fd, 0);
    return fd;
}

static void ask(int fd, char octet)
{
    char got;
    ck_assert_int_eq(weft_write(fd, &octet, 1, weft_in(20)), 1);
    ck_assert_int_eq(weft_read(fd, &got, 1, weft_in(20)), 1);
    ck_assert_int_eq(got, octet + 1);
}

static int ask_pid(int fd)
{
    int pid = 0;
    ck_assert_int_eq(weft_write(fd, "p", 1, weft_in(20)), 1);
    ck_assert_int_eq(weft_recv(fd, &pid, sizeof(pid), MSG_WAITALL, weft_in(20)), sizeof(pid));
    return pid;
}

/* Several at once; each is answered, and ends in its own way. */
static void server_use(weft_server *server)
{
    int fds[4];
    for (int i = 0; i < 4; i++)
        fds[i] = dial();
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 4; i++)
            ask(fds[i], (char)('A' + i));
    ck_assert_uint_eq(weft_server_running(server), 4);
    for (int i = 0; i < 4; i++) {
        char octet;
        if (i % 2)
            ck_assert_int_eq(weft_write(fds[i], "q", 1, weft_in(20)), 1);
        else
            ck_assert_int_eq(shutdown(fds[i], SHUT_WR), 0);
        ck_assert_int_eq(weft_read(fds[i], &octet, 1, weft_in(20)), 0);
        weft_close(fds[i]);
    }
    for (weft_time late = weft_in(20); weft_server_running(server) > 0 && weft_clock() < late;)
        weft_sleep(0.001);
    ck_assert_uint_eq(weft_server_running(server), 0);
    ck_assert_int_eq(weft_server_stop(server, weft_in(20)), 0);
    ck_fails(weft_dial(address, weft_in(20)), ECONNREFUSED);
}

START_TEST(coroutines_of_the_caller)
{
    server_use(weft_serve(listen_somewhere(), answer));
}
END_TEST

START_TEST(coroutines_of_threads)
{
    server_use(weft_serve(listen_somewhere(), answer, .task = WEFT_COROUTINE, .threads = 2));
}
END_TEST

START_TEST(threads)
{
    server_use(weft_serve(listen_somewhere(), answer, .task = WEFT_THREAD));
}
END_TEST

START_TEST(threads_that_take_turns)
{
    server_use(weft_serve(listen_somewhere(), answer, .task = WEFT_THREAD, .workers = 4));
}
END_TEST

/* A copy that a handler has forked ends when its handler returns. */
static void copies_end(int fd)
{
    int status = -1;
    ck_assert_int_eq(weft_write(fd, "f", 1, weft_in(20)), 1);
    ck_assert_int_eq(weft_recv(fd, &status, sizeof(status), MSG_WAITALL, weft_in(20)), sizeof(status));
    ck_assert_int_eq(status, 0);
}

static void root_of_processes(void)
{
    weft_server *server = weft_serve(listen_somewhere(), answer, .task = WEFT_PROCESS, .argument = weft_int(0));
    ck_assert_ptr_nonnull(server);
    int one = dial(), other = dial();
    int pid = ask_pid(one);
    ck_assert_int_ne(pid, getpid());
    ck_assert_int_ne(pid, ask_pid(other));
    copies_end(one);
    weft_close(one), weft_close(other);
    fixture_until(weft_server_running(server) == 0);
    server_use(server);
}

static void root_of_workers(void)
{
    weft_server *server = weft_serve(listen_somewhere(), answer, .task = WEFT_PROCESS, .workers = 4);
    ck_assert_ptr_nonnull(server);
    char octet;
    int one = dial();
    ck_assert_int_ne(ask_pid(one), getpid());
    copies_end(one);
    ck_assert_int_eq(weft_write(one, "k", 1, weft_in(20)), 1);
    ck_assert_int_le(weft_read(one, &octet, 1, weft_in(20)), 0); /* it is dead, and another takes its place */
    weft_close(one);
    fixture_until(weft_server_running(server) == 0);
    server_use(server);
}

START_TEST(processes)
{
    if (FIXTURE_TSAN)
        fixture_skip("ThreadSanitizer does not survive threads of forked processes");
    NEEDS_PIDFDS;
    root_runs(root_of_processes);
}
END_TEST

START_TEST(processes_that_take_turns)
{
    if (FIXTURE_TSAN)
        fixture_skip("ThreadSanitizer does not survive threads of forked processes");
    NEEDS_PIDFDS;
    root_runs(root_of_workers);
}
END_TEST

START_TEST(a_local_socket_leaves_no_file)
{
    snprintf(address, sizeof(address), "unix:%s/s", fixture_folder());
    weft_server *server = weft_serve(weft_listen(address), answer, .threads = 1);
    ck_assert_ptr_nonnull(server);
    int one = dial();
    ask(one, 'x');
    weft_close(one);
    ck_assert_int_eq(weft_server_stop(server, weft_in(20)), 0);
    ck_assert_int_ne(access(address + 5, F_OK), 0);
}
END_TEST

START_TEST(a_path_that_is_anothers_by_now_stays)
{
    snprintf(address, sizeof(address), "unix:%s/s", fixture_folder());
    weft_server *first = weft_serve(weft_listen(address), answer, .threads = 1);
    ck_assert_ptr_nonnull(first);
    ck_assert_int_eq(unlink(address + 5), 0);
    weft_server *second = weft_serve(weft_listen(address), answer, .threads = 1);
    ck_assert_ptr_nonnull(second);
    ck_assert_int_eq(weft_server_stop(first, weft_in(20)), 0);
    int one = dial();
    ask(one, 'x');
    weft_close(one);
    ck_assert_int_eq(weft_server_stop(second, weft_in(20)), 0);
    ck_assert_int_ne(access(address + 5, F_OK), 0);
}
END_TEST

static void limit_check(enum weft_task_kind kind)
{
    weft_server *server = weft_serve(listen_somewhere(), answer, .task = kind, .limit = 2);
    char octet = 'A';
    int fds[3] = {dial(), dial(), dial()}; /* the kernel lets the third in, nobody serves it */
    ask(fds[0], 'A'), ask(fds[1], 'A');
    ck_assert_int_eq(weft_write(fds[2], &octet, 1, weft_in(20)), 1);
    ck_fails(weft_read(fds[2], &octet, 1, weft_in(0.02)), ETIMEDOUT);
    ck_assert_uint_eq(weft_server_running(server), 2);
    weft_close(fds[0]);
    ck_assert_int_eq(weft_read(fds[2], &octet, 1, weft_in(20)), 1);
    weft_close(fds[1]), weft_close(fds[2]);
    ck_assert_int_eq(weft_server_stop(server, weft_in(20)), 0);
}

START_TEST(no_more_than_the_limit)
{
    limit_check(WEFT_COROUTINE);
    limit_check(WEFT_THREAD);
}
END_TEST

/* Finishes what runs; ends what does not, at the deadline. */
static void stop_check(enum weft_task_kind kind, unsigned hubs, unsigned workers)
{
    char octet;
    weft_server *server = weft_serve(listen_somewhere(), answer, .task = kind, .threads = hubs, .workers = workers);
    ck_assert_ptr_nonnull(server);
    int one = dial();
    ask(one, 'A');
    ck_fails(weft_server_stop(server, weft_in(0.02)), ETIMEDOUT);
    ck_assert_int_le(weft_read(one, &octet, 1, weft_in(20)), 0);
    weft_close(one);
}

START_TEST(a_stop_ends_those_who_stay)
{
    stop_check(WEFT_COROUTINE, 0, 0);
    stop_check(WEFT_COROUTINE, 2, 0);
    stop_check(WEFT_THREAD, 0, 0);
    stop_check(WEFT_THREAD, 0, 2);
    ck_assert_int_eq(weft_server_stop(NULL, WEFT_NOW), 0);
}
END_TEST

static void root_of_stopped(void)
{
    stop_check(WEFT_PROCESS, 0, 0);
    stop_check(WEFT_PROCESS, 0, 2);
}

START_TEST(a_stop_ends_processes)
{
    if (FIXTURE_TSAN)
        fixture_skip("ThreadSanitizer does not survive threads of forked processes");
    NEEDS_PIDFDS;
    root_runs(root_of_stopped);
}
END_TEST

static void plain_reader(int fd, weft_value argument)
{
    char octet;
    (void)argument;
    while (read(fd, &octet, 1) == 1) /* not Weft's: it blocks, as the descriptor does */
        (void)!write(fd, &octet, 1);
}

START_TEST(a_handler_may_block_in_a_thread)
{
    char octet = 'x';
    weft_server *server = weft_serve(listen_somewhere(), plain_reader, .task = WEFT_THREAD);
    int one = dial();
    ck_assert_int_eq(weft_write(one, &octet, 1, weft_in(20)), 1);
    ck_assert_int_eq(weft_read(one, &octet, 1, weft_in(20)), 1);
    ck_fails(weft_server_stop(server, weft_in(0.02)), ETIMEDOUT);
    weft_close(one);
}
END_TEST

static uint32_t told;

static void tell(int fd, weft_value argument)
{
    char octet;
    (void)argument;
    while (weft_read(fd, &octet, 1, WEFT_FOREVER) == 1)
        ;
    __atomic_store_n(&told, (uint32_t)errno, __ATOMIC_RELEASE);
}

START_TEST(silent_and_slow_clients_are_timed_out)
{
    char octet;
    weft_server *server = weft_serve(listen_somewhere(), tell, .threads = 1, .idle_timeout = 0.02);
    int one = dial();
    ck_assert_int_eq(weft_read(one, &octet, 1, weft_in(20)), 0);
    ck_assert_uint_eq(__atomic_load_n(&told, __ATOMIC_ACQUIRE), ETIMEDOUT);
    weft_close(one);
    ck_assert_int_eq(weft_server_stop(server, weft_in(20)), 0);
    told = 0;
    server = weft_serve(listen_somewhere(), tell, .task = WEFT_THREAD, .idle_timeout = 20, .time_limit = 0.03);
    one = dial(); /* an octet now and then does not help */
    while (weft_write(one, "x", 1, weft_in(20)) == 1 && weft_read(one, &octet, 1, weft_in(0.002)) != 0)
        ;
    ck_assert_uint_eq(__atomic_load_n(&told, __ATOMIC_ACQUIRE), ETIMEDOUT);
    weft_close(one);
    ck_assert_int_eq(weft_server_stop(server, weft_in(20)), 0);
}
END_TEST

/* No descriptor left: those that are there are served, the next one when there is one again; and nobody asks for it all the time. */
static void descriptors_check(unsigned hubs)
{
    struct rlimit before, few;
    weft_server *server = weft_serve(listen_somewhere(), answer, .threads = hubs);
    int one = dial(), other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char octet = 'A';
    ask(one, 'A');
    int next = dup(one);
    close(next);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = (rlim_t)next;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    to.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
    ck_assert_int_eq(connect(other, (struct sockaddr *)&to, sizeof(to)), 0);
    ck_assert_int_eq(weft_write(other, &octet, 1, weft_in(20)), 1);
    ask(one, 'B');
    weft_time begun = weft_clock();
    uint32_t tries = __atomic_load_n(&accepts, __ATOMIC_RELAXED);
    ck_fails(weft_read(other, &octet, 1, weft_in(0.05)), ETIMEDOUT);
    tries = __atomic_load_n(&accepts, __ATOMIC_RELAXED) - tries;
    ck_assert_int_le(tries, 2 + (weft_clock() - begun) / 50000000); /* ten a second are said */
    ask(one, 'C');
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert_int_eq(weft_read(other, &octet, 1, weft_in(20)), 1);
    close(other);
    weft_close(one);
    ck_assert_int_eq(weft_server_stop(server, weft_in(20)), 0);
}

START_TEST(descriptors_run_out)
{
    if (fixture_copies())
        fixture_skip("Valgrind closes what it has no number for");
    descriptors_check(1);
    descriptors_check(0);
}
END_TEST

START_TEST(what_is_no_server)
{
    int ends[2], listener = listen_somewhere();
    ck_fails_null(weft_serve(listener, NULL), EINVAL);
    ck_fails_null(weft_serve(-1, answer), EINVAL);
    ck_fails_null(weft_serve(listener, answer, .task = WEFT_FLEET), EINVAL);
    ck_fails_null(weft_serve(listener, answer, .task = WEFT_THREAD, .threads = 2), EINVAL);
    ck_fails_null(weft_serve(listener, answer, .workers = 2), EINVAL);
    ck_fails_null(weft_serve(listener, answer, .idle_timeout = -1), EINVAL);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    ck_fails_null(weft_serve(ends[0], answer), EINVAL);
    close(ends[0]), close(ends[1]);
    weft_close(listener);
}
END_TEST

/*
 * Many, in a process of their own: good ones, slow ones, silent ones, ones that reset, ones that shut down half; all good ones are
 * answered. WEFT_TEST_CONNECTIONS says how many; without it ten thousand, but where that takes long, and once is enough.
 */
static bool plain_build(void)
{
    return FIXTURE_STRIDE == 1 && !FIXTURE_TSAN && !fixture_copies();
}

static int many_connections(void)
{
    const char *asked = getenv("WEFT_TEST_CONNECTIONS");
    int count = asked ? atoi(asked) : plain_build() && !getenv("WEFT_IO") ? 10000 : 400;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return (rlim_t)count + 100 < limit.rlim_cur ? count : (int)limit.rlim_cur - 100;
}

static void client_reset(int fd)
{
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
    weft_close(fd);
}

static _Noreturn void client_run(int count)
{
    int *fds = malloc((size_t)count * sizeof(*fds));
    for (int i = 0; i < count; i++) {
        if ((fds[i] = weft_dial(address, weft_in(60))) < 0)
            fixture_leave(1);
        if (i % 8 == 1)
            client_reset(fds[i]);
        else if (i % 8 == 2)
            shutdown(fds[i], SHUT_WR);
        else if (i % 8 != 3 && weft_write(fds[i], "A", 1, weft_in(60)) != 1) /* 3: silent */
            fixture_leave(2);
        if (i % 16 == 4)
            client_reset(fds[i]);
    }
    char octet;
    for (int i = 0; i < count; i++) {
        if (i % 8 == 5 && weft_write(fds[i], "B", 1, weft_in(60)) != 1) /* 5: slow */
            fixture_leave(2);
        if (i % 8 != 1 && i % 8 != 3 && i % 16 != 4 && weft_read(fds[i], &octet, 1, weft_in(60)) != (i % 8 == 2 ? 0 : 1))
            fixture_leave(3);
        if (i % 8 == 5 && weft_read(fds[i], &octet, 1, weft_in(60)) != 1)
            fixture_leave(4);
    }
    fixture_leave(0);
}

/* The most that this process has ever had, in octets. */
static long memory_most(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss * 1024;
}

START_TEST(many_good_and_bad)
{
    int count = many_connections(), status;
    int listener = listen_somewhere();
    pid_t client = fork();
    if (client == 0)
        client_run(count);
    long before = memory_most();
    weft_server *server = weft_serve(listener, answer, .threads = 2, .limit = (unsigned)count + 1, .idle_timeout = 60);
    ck_assert_ptr_nonnull(server);
    ck_assert_int_eq(waitpid(client, &status, 0), client);
    ck_assert_int_eq(status, 0);
    fixture_until(weft_server_running(server) == 0);
    ck_assert_int_eq(weft_server_stop(server, weft_in(20)), 0);
    if (count >= 5000 && plain_build())
        ck_assert_int_le((memory_most() - before) / count, 16 << 10);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, coroutines_of_the_caller);
    tcase_add_test(tests, coroutines_of_threads);
    tcase_add_test(tests, threads);
    tcase_add_test(tests, threads_that_take_turns);
    tcase_add_test(tests, processes);
    tcase_add_test(tests, processes_that_take_turns);
    tcase_add_test(tests, a_local_socket_leaves_no_file);
    tcase_add_test(tests, a_path_that_is_anothers_by_now_stays);
    tcase_add_test(tests, no_more_than_the_limit);
    tcase_add_test(tests, a_stop_ends_those_who_stay);
    tcase_add_test(tests, a_stop_ends_processes);
    tcase_add_test(tests, a_handler_may_block_in_a_thread);
    tcase_add_test(tests, silent_and_slow_clients_are_timed_out);
    tcase_add_test(tests, descriptors_run_out);
    tcase_add_test(tests, what_is_no_server);
    tcase_add_test(tests, many_good_and_bad);
}

int main(void)
{
    return fixture_main("server", add);
}
