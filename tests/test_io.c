/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing from every kind of task; streams. Each test of a body runs it in a thread and in coroutines. What the system calls
 * say is put in between where it cannot be had otherwise: the program's own accept4 and recv stand before the C library's.
 */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "coroutine/hub.h"
#include "fixture.h"

/* What the next calls say instead of doing anything. */
static int accept_errors[8], accept_count, recv_errors[8], recv_count;
static size_t recv_most;

int accept4(int fd, __SOCKADDR_ARG address, socklen_t *length, int flags)
{
    if (accept_count > 0) {
        errno = accept_errors[--accept_count];
        return -1;
    }
    return (int)syscall(SYS_accept4, fd, address.__sockaddr__, length, flags);
}

ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
    if (recv_count > 0) {
        errno = recv_errors[--recv_count];
        return -1;
    }
    return (ssize_t)syscall(SYS_recvfrom, fd, buffer, recv_most && recv_most < size ? recv_most : size, flags, NULL, NULL);
}

/* Runs the body as a task of the kind. */
static void run_as(enum weft_task_kind kind, weft_function *body)
{
    weft_value result;
    weft_task *task = weft_spawn(kind, body, weft_none);
    ck_assert_ptr_nonnull(task);
    ck_assert_int_eq(weft_task_result(task, &result, weft_in(30)), 0);
    ck_assert(!weft_is_error(result));
    weft_task_free(task);
}

#define BOTH(name, body)              \
    START_TEST(name##_in_threads)     \
    {                                 \
        run_as(WEFT_THREAD, body);    \
    }                                 \
    END_TEST                          \
    START_TEST(name##_in_coroutines)  \
    {                                 \
        run_as(WEFT_COROUTINE, body); \
    }                                 \
    END_TEST

static void sockets_make(int ends[2])
{
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
}

/* A TCP connection of Weft's own, both ends. */
static void connection_make(int ends[2])
{
    char address[64];
    int listener = weft_listen("127.0.0.1:0");
    ck_assert_int_ge(listener, 0);
    ck_assert_int_gt(weft_socket_address(listener, address, sizeof(address)), 0);
    ends[0] = weft_dial(address, weft_in(10));
    ck_assert_int_ge(ends[0], 0);
    ends[1] = weft_accept(listener, NULL, NULL, weft_in(10));
    ck_assert_int_ge(ends[1], 0);
    ck_assert_int_eq(weft_close(listener), 0);
}

static void ends_close(const int ends[2])
{
    ck_assert_int_eq(weft_close(ends[0]), 0);
    ck_assert_int_eq(weft_close(ends[1]), 0);
}

static weft_value write_later(weft_value fd)
{
    weft_sleep(0.01);
    ck_assert_int_eq(weft_write(weft_as_int(fd) & 0xffff, "later", 5, weft_in(10)), 5);
    return weft_none;
}

/* Any kind of pair: a read that waits, what says that nothing is there, the end. */
static void pair_check(const int ends[2], int from, int to)
{
    char octets[16] = "";
    (void)ends;
    ck_fails(weft_read(from, octets, sizeof(octets), WEFT_NOW), EAGAIN);
    ck_fails(weft_read(from, octets, sizeof(octets), weft_in(0.005)), ETIMEDOUT);
    weft_task *writer = weft_spawn(weft_task_kind_of(weft_current()), write_later, weft_int(to));
    ck_assert_int_eq(weft_read(from, octets, sizeof(octets), weft_in(20)), 5);
    ck_assert_mem_eq(octets, "later", 5);
    ck_assert_int_eq(weft_task_join(writer, weft_in(20)), 0);
    weft_task_free(writer);
    ck_assert_int_eq(weft_write(to, "abcdef", 6, weft_in(1)), 6);
    ck_assert_int_eq(weft_read(from, octets, 2, weft_in(1)), 2);
    ck_assert_int_eq(weft_read(from, octets, 2, weft_in(1)), 2);
    struct iovec parts[] = {{octets, 1}, {octets + 8, 4}};
    ck_assert_int_eq(weft_readv(from, parts, 2, weft_in(1)), 2);
    ck_assert_int_eq(octets[8], 'f');
    ck_fails(weft_readv(from, parts, 2, WEFT_NOW), EAGAIN);
    ck_assert_int_eq(weft_writev(to, parts, 2, weft_in(1)), 5);
    ck_assert_int_eq(weft_read(from, octets, sizeof(octets), WEFT_NOW), 5);
    weft_close(to);
    ck_assert_int_eq(weft_read(from, octets, sizeof(octets), weft_in(1)), 0);
    weft_close(from);
}

static weft_value pairs_body(weft_value none)
{
    int ends[2];
    sockets_make(ends);
    pair_check(ends, ends[0], ends[1]);
    connection_make(ends);
    pair_check(ends, ends[0], ends[1]);
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    pair_check(ends, ends[0], ends[1]);
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    pair_check(ends, ends[0], ends[1]);
    return none;
}
BOTH(reads_wait_for_what_comes, pairs_body)

static weft_value full_check(const int ends[2], weft_value none)
{
    static char many[1 << 16];
    ssize_t put, all = 0;
    while ((put = weft_write(ends[1], many, sizeof(many), WEFT_NOW)) > 0)
        all += put;
    ck_assert_int_eq(errno, EAGAIN);
    ck_fails(weft_write(ends[1], many, sizeof(many), weft_in(0.005)), ETIMEDOUT);
    for (ssize_t got; all > 0; all -= got)
        ck_assert_int_gt(got = weft_read(ends[0], many, sizeof(many), weft_in(5)), 0);
    ck_assert_int_gt(weft_write(ends[1], many, sizeof(many), WEFT_NOW), 0);
    weft_close(ends[0]);
    ck_fails(weft_write_all(ends[1], many, sizeof(many), weft_in(5)), EPIPE); /* and no signal */
    weft_close(ends[1]);
    return none;
}

static weft_value full_body(weft_value none)
{
    int ends[2];
    sockets_make(ends);
    full_check(ends, none);
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    full_check(ends, none);
    return none;
}
BOTH(writes_wait_for_room_and_no_signal_comes, full_body)

enum { BULK = 1 << 21 };

static weft_value bulk_write(weft_value fd)
{
    char *octets = malloc(BULK);
    for (int i = 0; i < BULK; i++)
        octets[i] = (char)(i * 7 / 3);
    ck_assert_int_eq(weft_write_all((int)weft_as_int(fd), octets, BULK, weft_in(20)), 0);
    free(octets);
    return weft_none;
}

static weft_value bulk_body(weft_value none)
{
    int ends[2];
    connection_make(ends);
    char *octets = malloc(BULK);
    weft_task *writer = weft_spawn(weft_task_kind_of(weft_current()), bulk_write, weft_int(ends[1]));
    ck_assert_int_eq(weft_recv(ends[0], octets, BULK, MSG_WAITALL, weft_in(20)), BULK);
    for (int i = 0; i < BULK; i += 4093)
        ck_assert_int_eq(octets[i], (char)(i * 7 / 3));
    ck_assert_int_eq(weft_task_join(writer, weft_in(20)), 0);
    weft_task_free(writer);
    free(octets);
    ends_close(ends);
    return none;
}
BOTH(much_goes_through, bulk_body)

static weft_value ping_peer(weft_value fd)
{
    char octets[64];
    ssize_t got;
    while ((got = weft_read((int)weft_as_int(fd), octets, sizeof(octets), weft_in(20))) > 0)
        ck_assert_int_eq(weft_write_all((int)weft_as_int(fd), octets, (size_t)got, weft_in(20)), 0);
    ck_assert_int_eq(got, 0);
    shutdown((int)weft_as_int(fd), SHUT_WR);
    return weft_none;
}

static weft_value ping_body(weft_value none)
{
    int ends[2];
    connection_make(ends);
    weft_task *peer = weft_spawn(weft_task_kind_of(weft_current()), ping_peer, weft_int(ends[1]));
    char octets[64];
    for (int i = 0; i < 300; i++) {
        size_t size = (size_t)(i % 64) + 1, have = 0; /* of 64 the buffer is full, so that it is tried again */
        memset(octets, i, sizeof(octets));
        ck_assert_int_eq(weft_write_all(ends[0], octets, size, weft_in(20)), 0);
        while (have < size) {
            ssize_t got = weft_read(ends[0], octets + have, sizeof(octets) - have, weft_in(20));
            ck_assert_int_gt(got, 0);
            have += (size_t)got;
        }
        ck_assert_uint_eq(have, size);
        ck_assert_int_eq(octets[size - 1], (char)i);
    }
    ck_assert_int_eq(shutdown(ends[0], SHUT_WR), 0);
    ck_assert_int_eq(weft_read(ends[0], octets, sizeof(octets), weft_in(20)), 0);
    ck_assert_int_eq(weft_task_join(peer, weft_in(20)), 0);
    weft_task_free(peer);
    ends_close(ends);
    return none;
}
BOTH(questions_and_answers, ping_body)

static weft_value read_for_ever(weft_value fd)
{
    char octet;
    ssize_t got = weft_read((int)weft_as_int(fd), &octet, 1, WEFT_FOREVER);
    return weft_int(got < 0 ? errno : 0);
}

static weft_value cancel_body(weft_value none)
{
    int ends[2];
    weft_value result;
    connection_make(ends);
    weft_task *reader = weft_spawn(weft_task_kind_of(weft_current()), read_for_ever, weft_int(ends[1]));
    weft_sleep(0.01);
    weft_task_cancel(reader);
    ck_assert_int_eq(weft_task_result(reader, &result, weft_in(20)), 0);
    ck_assert_int_eq(weft_as_int(result), ECANCELED);
    weft_task_free(reader);
    ends_close(ends);
    return none;
}
BOTH(a_wait_is_cancelled, cancel_body)

static weft_value closed_body(weft_value none)
{
    int ends[2];
    char octet;
    weft_value result;
    connection_make(ends);
    weft_task *reader = weft_spawn(WEFT_COROUTINE, read_for_ever, weft_int(ends[1]));
    weft_sleep(0.01);
    ck_assert_int_eq(weft_close(ends[1]), 0);
    ck_assert_int_eq(weft_task_result(reader, &result, weft_in(20)), 0);
    ck_assert_int_eq(weft_as_int(result), EBADF);
    weft_task_free(reader);
    ck_assert_int_eq(weft_read(ends[0], &octet, 1, weft_in(20)), 0); /* nobody holds it open */
    weft_close(ends[0]);
    ck_fails(weft_close(ends[0]), EBADF);
    return none;
}

START_TEST(a_wait_for_what_is_closed_ends)
{
    run_as(WEFT_COROUTINE, closed_body);
}
END_TEST

enum { COUNTED = 3000 };

/* Writes 0, 1, 2 ... in pieces of any length. */
static weft_value count_up(weft_value fd)
{
    unsigned char octets[7];
    for (int done = 0; done < COUNTED;) {
        int size = 1 + done % 7;
        for (int i = 0; i < size; i++)
            octets[i] = (unsigned char)(done + i);
        size = size < COUNTED - done ? size : COUNTED - done;
        ck_assert_int_eq(weft_write_all((int)weft_as_int(fd), octets, (size_t)size, weft_in(20)), 0);
        done += size;
        if (done % 3 == 0)
            weft_sleep(0.00002);
    }
    return weft_none;
}

struct counted {
    int fd, done;
    bool patient;
};

/* Reads on, until cancelled. */
static weft_value count_on(weft_value argument)
{
    struct counted *counted = weft_as_ptr(argument);
    unsigned char octets[16];
    while (counted->done < COUNTED) {
        ssize_t got = weft_read(counted->fd, octets, sizeof(octets), counted->patient ? weft_in(20) : weft_in(0.00003));
        if (got < 0 && errno == ECANCELED)
            break;
        ck_assert(got > 0 || errno == ETIMEDOUT);
        for (int i = 0; i < got; i++)
            ck_assert_int_eq(octets[i], (unsigned char)counted->done++);
    }
    return weft_none;
}

/* Readers who are late all the time, or are cancelled, one after the other: what came is there for the next, or was given to them. */
static weft_value lost_body(weft_value none)
{
    int ends[2];
    struct counted counted = {0};
    enum weft_task_kind kind = weft_task_kind_of(weft_current());
    connection_make(ends);
    counted.fd = ends[0];
    weft_task *writer = weft_spawn(kind, count_up, weft_int(ends[1]));
    for (int i = 0; counted.done < COUNTED; i++) {
        counted.patient = i % 2 == 0;
        weft_task *reader = weft_spawn(kind, count_on, weft_ptr(&counted));
        weft_sleep(0.0001 * (i % 5));
        weft_task_cancel(reader);
        ck_assert_int_eq(weft_task_join(reader, weft_in(20)), 0);
        weft_task_free(reader);
    }
    ck_assert_int_eq(weft_task_join(writer, weft_in(20)), 0);
    weft_task_free(writer);
    ends_close(ends);
    return none;
}
BOTH(what_came_is_not_lost, lost_body)

/* A coroutine that waits for a connection's octets, in a thread that goes over to another loop before or meanwhile. */
static weft_value lent_body(weft_value late)
{
    int ends[2];
    weft_value result;
    struct pollfd hub = {.fd = weft_as_bool(late) ? -1 : weft_hub_fd(), .events = POLLIN};
    connection_make(ends);
    for (int i = 0; i < 3; i++) {
        weft_task *reader = weft_spawn(WEFT_COROUTINE, read_for_ever, weft_int(ends[0]));
        if (hub.fd < 0) {
            weft_sleep(0.005);
            hub.fd = weft_hub_fd();
        }
        while (poll(&hub, 1, 0) == 1)
            ck_assert_uint_eq(weft_hub_run_once(), 1);
        ck_assert_int_eq(send(ends[1], "x", 1, MSG_NOSIGNAL), 1);
        do
            ck_assert_int_eq(poll(&hub, 1, 20000), 1);
        while (weft_hub_run_once() > 0);
        ck_assert_int_eq(weft_task_result(reader, &result, weft_in(20)), 0);
        ck_assert_int_eq(weft_as_int(result), 0);
        weft_task_free(reader);
    }
    ends_close(ends);
    return weft_none;
}

START_TEST(another_loop_hears_of_what_comes)
{
    for (int late = 0; late < 2; late++) {
        weft_task *task = weft_spawn(WEFT_THREAD, lent_body, weft_bool(late));
        ck_assert_int_eq(weft_task_join(task, weft_in(30)), 0);
        weft_task_free(task);
    }
}
END_TEST

/* The back end of the thread's hub, when a coroutine has waited for a connection. */
static weft_value back_end_body(weft_value argument)
{
    (void)ping_body(argument);
    return weft_str(wefti_hub_now()->descriptors.backend->name);
}

static void back_end_check(const char *asked, const char *expected)
{
    weft_value name;
    setenv("WEFT_IO", asked, 1);
    weft_task *task = weft_spawn(WEFT_COROUTINE, back_end_body, weft_none);
    ck_assert_int_eq(weft_task_result(task, &name, weft_in(20)), 0);
    ck_assert_str_eq(weft_as_str(name), expected);
    weft_drop(name);
    weft_task_free(task);
}

START_TEST(epoll_is_taken)
{
    back_end_check("epoll", "epoll");
}
END_TEST

START_TEST(io_uring_is_taken)
{
    char nothing[256] = {0};
    if (!wefti_backend_uring)
        fixture_skip("built without liburing");
    int ring = (int)syscall(SYS_io_uring_setup, 1, nothing);
    if (ring < 0)
        fixture_skip("no io_uring here");
    close(ring);
    back_end_check("io_uring", "io_uring");
}
END_TEST

START_TEST(where_io_uring_is_refused_it_is_epoll)
{
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {.len = sizeof(steps) / sizeof(*steps), .filter = steps};
    ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
        fixture_skip("no filters of system calls here");
    back_end_check("io_uring", "epoll");
    back_end_check("io_uring", "epoll");
}
END_TEST

START_TEST(another_name_is_an_error)
{
    setenv("WEFT_IO", "select", 1);
    ck_fails_null(weft_spawn(WEFT_COROUTINE, read_for_ever, weft_int(-1)), EINVAL);
    setenv("WEFT_IO", "", 1);
    weft_task *task = weft_spawn(WEFT_COROUTINE, read_for_ever, weft_int(-1));
    ck_assert_ptr_nonnull(task);
    ck_assert_int_eq(weft_task_join(task, weft_in(20)), 0);
    weft_task_free(task);
}
END_TEST

/* The number of a connection is another's at once, again and again; so no wait may take what it knows of one for the other. */
static weft_value reuse_body(weft_value none)
{
    char octet;
    for (int i = 0; i < 40; i++) {
        int ends[2];
        if (i % 3 == 2)
            sockets_make(ends);
        else
            connection_make(ends);
        weft_task *peer = weft_spawn(WEFT_COROUTINE, ping_peer, weft_int(ends[1]));
        ck_assert_int_eq(weft_write(ends[0], "x", 1, weft_in(20)), 1);
        ck_assert_int_eq(weft_read(ends[0], &octet, 1, weft_in(20)), 1);
        ck_assert_int_eq(weft_close(ends[0]), 0);
        ck_assert_int_eq(weft_task_join(peer, weft_in(20)), 0);
        weft_task_free(peer);
        ck_assert_int_eq(weft_close(ends[1]), 0);
    }
    return none;
}

START_TEST(a_number_comes_round)
{
    run_as(WEFT_COROUTINE, reuse_body);
}
END_TEST

/* Select and poll, which have not tried, on what is known to be dry, and on what is not. */
static weft_value mixed_body(weft_value none)
{
    int ends[2];
    char octets[8];
    connection_make(ends);
    for (int i = 0; i < 20; i++) {
        weft_task *writer = weft_spawn(WEFT_COROUTINE, write_later, weft_int(ends[1]));
        if (i % 2 == 0) {
            struct pollfd asked[] = {{.fd = ends[0], .events = POLLIN}, {.fd = -1, .events = POLLIN}};
            ck_fails(weft_poll(asked, 2, WEFT_NOW), EAGAIN);
            ck_assert_int_eq(weft_poll(asked, 2, weft_in(20)), 1);
            ck_assert_int_eq(asked[0].revents, POLLIN);
            ck_assert_int_eq(asked[1].revents, 0);
        } else {
            short seen = 0;
            weft_case cases[] = {weft_case_descriptor(ends[0], POLLIN, &seen)};
            ck_assert_int_eq(weft_select(cases, 1, weft_in(20)), 0);
            ck_assert_int_eq(seen, POLLIN);
        }
        ck_assert_int_eq(weft_read(ends[0], octets, 8, WEFT_NOW), 5);
        ck_fails(weft_read(ends[0], octets, 8, WEFT_NOW), EAGAIN);
        ck_assert_int_eq(weft_task_join(writer, weft_in(20)), 0);
        weft_task_free(writer);
    }
    struct pollfd late = {.fd = ends[0], .events = POLLIN};
    ck_fails(weft_poll(&late, 1, weft_in(0.005)), ETIMEDOUT);
    struct pollfd many[20];
    for (int i = 0; i < 20; i++)
        many[i] = (struct pollfd){.fd = ends[i % 2], .events = POLLOUT};
    ck_assert_int_eq(weft_poll(many, 20, weft_in(20)), 20);
    ends_close(ends);
    return none;
}
BOTH(poll_and_select_beside_reads, mixed_body)

static weft_value errors_body(weft_value none)
{
    int ends[2];
    char octets[8];
    connection_make(ends);
    struct pollfd came = {.fd = ends[0], .events = POLLIN};
    recv_errors[0] = recv_errors[1] = EINTR;
    recv_count = 2;
    ck_assert_int_eq(weft_write(ends[1], "abc", 3, weft_in(1)), 3);
    ck_assert_int_eq(weft_poll(&came, 1, weft_in(20)), 1);
    ck_assert_int_eq(weft_read(ends[0], octets, 8, WEFT_NOW), 3); /* by recv, whatever the back end is */
    ck_assert_int_eq(recv_count, 0);
    recv_errors[0] = ECONNRESET;
    recv_count = 1;
    ck_assert_int_eq(weft_write(ends[1], "abc", 3, weft_in(1)), 3);
    ck_fails(weft_read(ends[0], octets, 8, WEFT_NOW), ECONNRESET);
    ends_close(ends);
    ck_fails(weft_read(-1, octets, 8, weft_in(1)), EBADF);
    ck_fails(weft_write(-1, octets, 8, weft_in(1)), EBADF);
    ck_fails(weft_close(-1), EBADF);
    ck_fails(weft_accept(-1, NULL, NULL, WEFT_NOW), EBADF);
    return none;
}
BOTH(errors_are_told, errors_body)

static weft_value accept_body(weft_value none)
{
    char address[64];
    int listener = weft_listen("127.0.0.1:0");
    ck_assert_int_gt(weft_socket_address(listener, address, sizeof(address)), 0);
    ck_fails(weft_accept(listener, NULL, NULL, WEFT_NOW), EAGAIN);
    ck_fails(weft_accept(listener, NULL, NULL, weft_in(0.005)), ETIMEDOUT);
    int dialled = weft_dial(address, weft_in(10));
    ck_assert_int_ge(dialled, 0);
    memcpy(accept_errors, (int[]){EMFILE, ENFILE}, 2 * sizeof(int));
    accept_count = 2;
    ck_fails(weft_accept(listener, NULL, NULL, weft_in(5)), ENFILE);
    ck_fails(weft_accept(listener, NULL, NULL, weft_in(5)), EMFILE);
    memcpy(accept_errors, (int[]){ECONNABORTED, EPROTO, EINTR}, 3 * sizeof(int));
    accept_count = 3;
    struct sockaddr_in from;
    socklen_t length = sizeof(from);
    int came = weft_accept(listener, (struct sockaddr *)&from, &length, weft_in(5));
    ck_assert_int_ge(came, 0);
    ck_assert_int_eq(accept_count, 0);
    ck_assert_int_eq(from.sin_family, AF_INET);
    ck_assert_int_eq(fcntl(came, F_GETFD), FD_CLOEXEC);
    ck_assert_int_eq(fcntl(came, F_GETFL) & O_NONBLOCK, 0);
    char peer[64], own[64];
    ck_assert_int_gt(weft_peer_address(came, peer, sizeof(peer)), 0);
    ck_assert_int_gt(weft_socket_address(dialled, own, sizeof(own)), 0);
    ck_assert_str_eq(peer, own);
    weft_close(came), weft_close(dialled), weft_close(listener);
    ck_fails(weft_dial(address, weft_in(10)), ECONNREFUSED);
    return none;
}
BOTH(accept_and_dial, accept_body)

static void address_check(const char *asked)
{
    char address[128], octet;
    int listener = weft_listen(asked);
    if (listener < 0 && strchr(asked, '[') && (errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT))
        return; /* no IPv6 here */
    ck_assert_int_ge(listener, 0);
    ck_assert_int_gt(weft_socket_address(listener, address, sizeof(address)), 0);
    int dialled = weft_dial(address, weft_in(10)), came = weft_accept(listener, NULL, NULL, weft_in(10));
    ck_assert_int_ge(dialled, 0);
    ck_assert_int_eq(weft_write(dialled, "x", 1, weft_in(1)), 1);
    ck_assert_int_eq(weft_read(came, &octet, 1, weft_in(1)), 1);
    weft_close(dialled), weft_close(came), weft_close(listener);
}

START_TEST(addresses)
{
    char path[128];
    address_check("127.0.0.1:0");
    address_check("localhost:0");
    address_check("[::1]:0");
    address_check(":0");
    snprintf(path, sizeof(path), "unix:%s/socket", fixture_folder());
    address_check(path);
    address_check(path); /* nobody listens at what is left there */
    int listener = weft_listen(path);
    ck_assert_int_ge(listener, 0);
    ck_fails(weft_listen(path), EADDRINUSE);
    weft_close(listener);
    snprintf(path, sizeof(path), "unix:%s/notes", fixture_folder());
    FILE *notes = fopen(path + 5, "w");
    fclose(notes);
    ck_fails(weft_listen(path), EADDRINUSE); /* what is no socket is somebody's */
    ck_assert_int_eq(access(path + 5, F_OK), 0);
    snprintf(path, sizeof(path), "abstract:weft-test-%d", getpid());
    address_check(path);
    ck_fails(weft_listen("nonsense"), EINVAL);
    ck_fails(weft_listen("127.0.0.1:"), EINVAL);
    ck_fails(weft_listen("127.0.0.1:65536"), EINVAL);
    ck_fails(weft_dial("127.0.0.1:99999999999999999999", weft_in(1)), EINVAL);
    ck_fails(weft_listen("::1:80"), EINVAL);
    ck_fails(weft_listen("[::1:80"), EINVAL);
    ck_fails(weft_listen("unix:"), EINVAL);
    ck_fails(weft_listen(NULL), EINVAL);
    ck_fails(weft_dial(NULL, WEFT_NOW), EINVAL);
    ck_fails(weft_dial("unix:/nowhere/at/all", weft_in(1)), ENOENT);
}
END_TEST

static weft_value connect_body(weft_value none)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int listener = weft_listen("127.0.0.1:0"), one = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    ck_assert_int_eq(weft_connect(one, (struct sockaddr *)&address, length, weft_in(10)), 0); /* one that blocks */
    weft_close(one);
    weft_close(listener);
    one = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_fails(weft_connect(one, (struct sockaddr *)&address, length, weft_in(10)), ECONNREFUSED);
    weft_close(one);
    one = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ck_fails(weft_connect(one, (struct sockaddr *)&address, length, weft_in(10)), ECONNREFUSED);
    weft_close(one);
    ck_fails(weft_connect(-1, (struct sockaddr *)&address, length, weft_in(10)), EBADF);
    return none;
}
BOTH(connects, connect_body)

/* A local socket with as many waiting to be accepted as there is room for. */
struct crowded {
    char address[128];
    struct sockaddr_un local;
    int listener, waiting[8], count;
};

static struct crowded crowded_begin(void)
{
    struct crowded crowded = {.local = {.sun_family = AF_UNIX}};
    snprintf(crowded.address, sizeof(crowded.address), "unix:%s/crowded", fixture_folder());
    snprintf(crowded.local.sun_path, sizeof(crowded.local.sun_path), "%s/crowded", fixture_folder());
    ck_assert_int_ge(crowded.listener = weft_listen(crowded.address, .backlog = 1), 0);
    while ((crowded.waiting[crowded.count] = weft_dial(crowded.address, WEFT_NOW)) >= 0)
        ck_assert_int_lt(++crowded.count, 8);
    ck_assert_int_eq(errno, EAGAIN);
    return crowded;
}

static void crowded_end(struct crowded *crowded)
{
    for (int i = 0; i < crowded->count; i++)
        weft_close(crowded->waiting[i]);
    weft_close(crowded->listener);
}

static weft_value crowd_body(weft_value none)
{
    struct crowded crowded = crowded_begin();
    ck_fails(weft_dial(crowded.address, weft_in(0.005)), ETIMEDOUT);
    weft_deadline (weft_in(0.005))
        ck_fails(weft_dial(crowded.address, WEFT_FOREVER), ETIMEDOUT);
    crowded_end(&crowded);
    return none;
}
BOTH(a_listener_that_is_full, crowd_body)

static weft_value connect_blocking(weft_value argument)
{
    struct crowded *crowded = weft_as_ptr(argument);
    int one = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int connected = weft_connect(one, (struct sockaddr *)&crowded->local, sizeof(crowded->local), weft_in(20)), error = errno;
    weft_close(one);
    return weft_int(connected == 0 ? 0 : error);
}

static uint32_t interruptions;

static void interrupt(int signal)
{
    (void)signal;
    __atomic_add_fetch(&interruptions, 1, __ATOMIC_RELAXED);
}

/* A helper that is in connect(2), and signals to the process that no thread but the helper would take. */
static weft_value helper_body(weft_value none)
{
    struct sigaction action = {.sa_handler = interrupt};
    struct crowded crowded = crowded_begin();
    weft_value error;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
    weft_task *connector = weft_spawn(WEFT_COROUTINE, connect_blocking, weft_ptr(&crowded));
    weft_sleep(0.005);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    for (int i = 0; i < 10; i++) {
        kill(getpid(), SIGUSR1);
        weft_sleep(0.001);
    }
    for (int i = 0; i <= crowded.count; i++)
        weft_close(weft_accept(crowded.listener, NULL, NULL, weft_in(20)));
    ck_assert_int_eq(weft_task_result(connector, &error, weft_in(20)), 0);
    ck_assert_int_eq(weft_as_int(error), 0);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    weft_task_free(connector);
    crowded_end(&crowded);
    return none;
}

START_TEST(no_signal_interrupts_a_helper)
{
    run_as(WEFT_COROUTINE, helper_body);
}
END_TEST

static weft_value files_body(weft_value none)
{
    char path[256], octets[16], more[16];
    off_t offset = 2;
    int ends[2];
    snprintf(path, sizeof(path), "%s/file", fixture_folder());
    ck_fails(weft_open(path, O_RDWR, 0, weft_in(10)), ENOENT);
    int file = weft_open(path, O_RDWR | O_CREAT, 0600, weft_in(10));
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(weft_pwrite(file, "0123456789", 10, 0, weft_in(10)), 10);
    ck_assert_int_eq(weft_pread(file, octets, 4, 3, weft_in(10)), 4);
    ck_assert_mem_eq(octets, "3456", 4);
    ck_assert_int_eq(weft_pread(file, octets, 4, 100, weft_in(10)), 0);
    ck_fails(weft_pread(file, octets, 4, -1, weft_in(10)), EINVAL);
    ck_assert_int_eq(weft_read(file, octets, 3, weft_in(10)), 3);
    ck_assert_int_eq(weft_write(file, "xy", 2, weft_in(10)), 2);
    ck_assert_int_eq(weft_read(file, octets, 16, weft_in(10)), 5);
    ck_assert_mem_eq(octets, "56789", 5);
    ck_assert_int_eq(weft_read(file, octets, 16, weft_in(10)), 0);
    sockets_make(ends);
    ck_assert_int_eq(weft_sendfile(ends[0], file, &offset, 100, weft_in(10)), 8);
    ck_assert_int_eq(offset, 10);
    ck_assert_int_eq(weft_sendfile(ends[0], file, &offset, 100, weft_in(10)), 0);
    ck_assert_int_eq(weft_read(ends[1], more, 16, weft_in(10)), 8);
    ck_assert_mem_eq(more, "2xy56789", 8);
    ck_assert_int_eq(lseek(file, 7, SEEK_SET), 7);
    ck_assert_int_eq(weft_sendfile(ends[0], file, NULL, 2, weft_in(10)), 2);
    ck_assert_int_eq(lseek(file, 0, SEEK_CUR), 9);
    ends_close(ends);
    weft_close(file);
    return none;
}
BOTH(files, files_body)

static weft_value names_body(weft_value none)
{
    struct addrinfo *found = NULL;
    ck_assert_int_eq(weft_getaddrinfo("127.0.0.1", "80", NULL, &found, WEFT_NOW), 0);
    freeaddrinfo(found);
    ck_assert_int_eq(weft_getaddrinfo("localhost", "80", NULL, &found, weft_in(20)), 0);
    ck_assert_ptr_nonnull(found);
    freeaddrinfo(found);
    ck_assert_int_eq(weft_getaddrinfo("localhost", "80", NULL, &found, WEFT_NOW), EAI_SYSTEM);
    ck_assert_int_eq(errno, EAGAIN);
    return none;
}
BOTH(names, names_body)

static const char text[] = "one\ntwo\r\n\nfour";

static void lines_check(weft_stream *stream)
{
    static const char *const lines[] = {"one", "two", "", "four"};
    const char *line;
    size_t length;
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(weft_stream_line(stream, &line, &length, weft_in(20)), 1);
        ck_assert_uint_eq(length, strlen(lines[i]));
        ck_assert_str_eq(line, lines[i]);
    }
    ck_assert_int_eq(weft_stream_line(stream, &line, &length, weft_in(20)), 0);
    ck_assert_int_eq(weft_stream_line(stream, &line, &length, weft_in(20)), 0);
}

/* Short reads of every length, with buffers of every size. */
static weft_value stream_body(weft_value none)
{
    char octets[32];
    for (size_t most = 1; most <= sizeof(text); most++) {
        int ends[2];
        sockets_make(ends);
        recv_most = most;
        weft_stream *out = weft_stream_new(ends[1], .buffer = most), *in = weft_stream_new(ends[0], .buffer = sizeof(text) - most + 1);
        ck_assert_int_eq(weft_stream_write(out, text, sizeof(text) - 1, weft_in(20)), 0);
        ck_assert_int_eq(weft_stream_print(out, weft_in(20), "%s", "12345678"), 0);
        ck_assert_int_eq(weft_stream_flush(out, weft_in(20)), 0);
        ck_assert_int_eq(weft_stream_read(in, octets, sizeof(text) - 1, weft_in(20)), sizeof(text) - 1);
        ck_assert_mem_eq(octets, text, sizeof(text) - 1);
        ck_fails(weft_stream_read(in, octets, 9, weft_in(0.002)), ETIMEDOUT); /* what has come is not lost */
        ck_assert_int_eq(weft_stream_write(out, text, sizeof(text) - 1, weft_in(20)), 0);
        ck_assert_int_eq(weft_stream_flush(out, weft_in(20)), 0);
        shutdown(ends[1], SHUT_WR);
        ck_assert_int_eq(weft_stream_read(in, octets, 8, weft_in(20)), 8);
        ck_assert_mem_eq(octets, "12345678", 8);
        lines_check(in);
        ck_assert_int_eq(weft_stream_read(in, octets, 8, weft_in(20)), 0);
        weft_stream_free(in), weft_stream_free(out);
        ends_close(ends);
        recv_most = 0;
    }
    return none;
}
BOTH(streams_read_exactly, stream_body)

/* All of it again, while signals come whose handler lets no call be begun again. */
static weft_value interrupted_body(weft_value none)
{
    static weft_function *const bodies[] = {pairs_body, full_body, bulk_body, ping_body, mixed_body, accept_body, connect_body, crowd_body,
        files_body, names_body, stream_body};
    struct sigaction action = {.sa_handler = interrupt};
    struct sigevent here = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1, ._sigev_un._tid = gettid()};
    long often = fixture_copies() || FIXTURE_TSAN ? 5000000 : 200000;
    timer_t timer;
    ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
    ck_assert_int_eq(timer_create(CLOCK_MONOTONIC, &here, &timer), 0);
    timer_settime(timer, 0, &(struct itimerspec){{.tv_nsec = often}, {.tv_nsec = often}}, NULL);
    for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++)
        weft_drop(bodies[i](none));
    timer_delete(timer);
    ck_assert_uint_gt(__atomic_load_n(&interruptions, __ATOMIC_RELAXED), 0);
    return none;
}
BOTH(no_signal_interrupts, interrupted_body)

START_TEST(streams_have_limits)
{
    int ends[2];
    const char *octets;
    size_t length;
    sockets_make(ends);
    weft_stream *in = weft_stream_new(ends[0], .most = 8), *out = weft_stream_new(ends[1], .buffer = 4096);
    ck_fails_null(weft_stream_new(-1), EINVAL);
    weft_stream_free(NULL);
    ck_assert_int_eq(weft_stream_write(out, "abc;0123456789", 14, weft_in(1)), 0);
    ck_fails(weft_stream_until(in, ';', &octets, &length, WEFT_NOW), EAGAIN); /* it is in the buffer */
    ck_assert_int_eq(weft_stream_flush(out, weft_in(1)), 0);
    ck_assert_int_eq(weft_stream_until(in, ';', &octets, &length, weft_in(1)), 1);
    ck_assert_uint_eq(length, 4);
    ck_assert_mem_eq(octets, "abc;", 4);
    ck_fails(weft_stream_until(in, ';', &octets, &length, weft_in(1)), EMSGSIZE);
    char many[5000] = "";
    while (weft_stream_write(out, many, sizeof(many), WEFT_NOW) == 0)
        ;
    ck_assert_int_eq(errno, EAGAIN);
    ck_fails(weft_stream_flush(out, weft_in(0.002)), ETIMEDOUT);
    weft_close(ends[0]);
    ck_fails(weft_stream_flush(out, weft_in(1)), EPIPE);
    weft_stream_free(in), weft_stream_free(out);
    weft_close(ends[1]);
}
END_TEST

/* A coroutine whose peer is always there first lets others run. */
static weft_value greedy_turns(weft_value stop)
{
    int *turns = weft_as_ptr(stop);
    while (*turns >= 0) {
        ++*turns;
        weft_yield();
    }
    return weft_none;
}

static weft_value greedy_body(weft_value none)
{
    int turns = 0, zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    char octet;
    weft_task *other = weft_spawn(WEFT_COROUTINE, greedy_turns, weft_ptr(&turns));
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(weft_read(zero, &octet, 1, WEFT_FOREVER), 1);
    ck_assert_int_gt(turns, 5);
    turns = -1;
    ck_assert_int_eq(weft_task_join(other, weft_in(20)), 0);
    weft_task_free(other);
    close(zero);
    return none;
}

START_TEST(who_never_waits_holds_up_nobody)
{
    run_as(WEFT_COROUTINE, greedy_body);
}
END_TEST

/* Who lets others run by itself keeps its place: it goes to the end of the line as often as it says, and no more. */
static weft_value modest_body(weft_value none)
{
    int turns = 0, ends[2];
    char octet = 'x';
    connection_make(ends);
    weft_task *other = weft_spawn(WEFT_COROUTINE, greedy_turns, weft_ptr(&turns));
    weft_yield();
    int before = turns;
    for (int i = 0; i < 1000; i++) {
        ck_assert_int_eq(weft_write(ends[0], &octet, 1, WEFT_FOREVER), 1);
        weft_yield();
    }
    ck_assert_int_eq(turns - before, 1000);
    turns = -1;
    ck_assert_int_eq(weft_task_join(other, weft_in(20)), 0);
    weft_task_free(other);
    ends_close(ends);
    return none;
}

START_TEST(who_lets_others_run_keeps_its_place)
{
    run_as(WEFT_COROUTINE, modest_body);
}
END_TEST

/* The child's hub asks anew for what it has from its parent. */
static weft_value forked_body(weft_value none)
{
    int ends[2], status;
    char octet;
    connection_make(ends);
    ck_fails(weft_read(ends[0], &octet, 1, weft_in(0.002)), ETIMEDOUT);
    pid_t child = fork();
    if (child == 0) {
        ssize_t got = weft_read(ends[0], &octet, 1, weft_in(20));
        fixture_leave(got == 1 && octet == 'x' ? 0 : 1);
    }
    ck_assert_int_eq(weft_write(ends[1], "x", 1, weft_in(20)), 1);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(weft_write(ends[1], "y", 1, weft_in(20)), 1);
    ck_assert_int_eq(weft_read(ends[0], &octet, 1, weft_in(20)), 1);
    ck_assert_int_eq(octet, 'y');
    ends_close(ends);
    return none;
}

START_TEST(a_forked_child_reads_on_in_threads)
{
    if (FIXTURE_TSAN)
        fixture_skip("ThreadSanitizer does not survive forks of programs with threads");
    run_as(WEFT_THREAD, forked_body);
}
END_TEST

START_TEST(a_forked_child_reads_on_in_coroutines)
{
    if (FIXTURE_TSAN)
        fixture_skip("ThreadSanitizer does not survive forks of programs with threads");
    run_as(WEFT_COROUTINE, forked_body);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, a_forked_child_reads_on_in_threads);
    tcase_add_test(tests, a_forked_child_reads_on_in_coroutines);
    tcase_add_test(tests, reads_wait_for_what_comes_in_threads);
    tcase_add_test(tests, reads_wait_for_what_comes_in_coroutines);
    tcase_add_test(tests, writes_wait_for_room_and_no_signal_comes_in_threads);
    tcase_add_test(tests, writes_wait_for_room_and_no_signal_comes_in_coroutines);
    tcase_add_test(tests, much_goes_through_in_threads);
    tcase_add_test(tests, much_goes_through_in_coroutines);
    tcase_add_test(tests, questions_and_answers_in_threads);
    tcase_add_test(tests, questions_and_answers_in_coroutines);
    tcase_add_test(tests, a_wait_is_cancelled_in_threads);
    tcase_add_test(tests, a_wait_is_cancelled_in_coroutines);
    tcase_add_test(tests, a_wait_for_what_is_closed_ends);
    tcase_add_test(tests, what_came_is_not_lost_in_threads);
    tcase_add_test(tests, what_came_is_not_lost_in_coroutines);
    tcase_add_test(tests, another_loop_hears_of_what_comes);
    tcase_add_test(tests, epoll_is_taken);
    tcase_add_test(tests, io_uring_is_taken);
    tcase_add_test(tests, where_io_uring_is_refused_it_is_epoll);
    tcase_add_test(tests, another_name_is_an_error);
    tcase_add_test(tests, a_number_comes_round);
    tcase_add_test(tests, poll_and_select_beside_reads_in_threads);
    tcase_add_test(tests, poll_and_select_beside_reads_in_coroutines);
    tcase_add_test(tests, errors_are_told_in_threads);
    tcase_add_test(tests, errors_are_told_in_coroutines);
    tcase_add_test(tests, accept_and_dial_in_threads);
    tcase_add_test(tests, accept_and_dial_in_coroutines);
    tcase_add_test(tests, addresses);
    tcase_add_test(tests, connects_in_threads);
    tcase_add_test(tests, connects_in_coroutines);
    tcase_add_test(tests, a_listener_that_is_full_in_threads);
    tcase_add_test(tests, a_listener_that_is_full_in_coroutines);
    tcase_add_test(tests, no_signal_interrupts_a_helper);
    tcase_add_test(tests, files_in_threads);
    tcase_add_test(tests, files_in_coroutines);
    tcase_add_test(tests, names_in_threads);
    tcase_add_test(tests, names_in_coroutines);
    tcase_add_test(tests, streams_read_exactly_in_threads);
    tcase_add_test(tests, streams_read_exactly_in_coroutines);
    tcase_add_test(tests, no_signal_interrupts_in_threads);
    tcase_add_test(tests, no_signal_interrupts_in_coroutines);
    tcase_add_test(tests, streams_have_limits);
    tcase_add_test(tests, who_never_waits_holds_up_nobody);
    tcase_add_test(tests, who_lets_others_run_keeps_its_place);
}

int main(void)
{
    return fixture_main("io", add);
}
