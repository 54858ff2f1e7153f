/* SPDX-License-Identifier: MIT */
/*
 * libweft-patch: blocking calls in coroutines. What one waits for another coroutine of the same thread gives it, so that a call which
 * blocked the thread would never return.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fixture.h"

/* ThreadSanitizer stands before these calls, too, and has its own opinion of threads that do several things. */
static void skip_under_tsan(const char *test)
{
    if (FIXTURE_TSAN)
        fixture_skip_named(test, "ThreadSanitizer stands before the same calls");
}

static weft_task *spawn(weft_function *function, void *data)
{
    weft_task *task = weft_spawn(WEFT_COROUTINE, function, weft_ptr(data));
    ck_assert_ptr_nonnull(task);
    return task;
}

static int64_t end(weft_task *task)
{
    weft_value value = weft_none;
    ck_assert_int_eq(weft_task_result(task, &value, weft_in(20)), 0);
    weft_task_free(task);
    return weft_as_int(value);
}

/* Runs both as coroutines, the first first; returns what that returns. */
static int64_t side_by_side(weft_function *waits, weft_function *gives, void *data)
{
    weft_task *first = spawn(waits, data), *second = spawn(gives, data);
    int64_t result = end(first);
    end(second);
    return result;
}

static int64_t alone(weft_function *function, void *data)
{
    return end(spawn(function, data));
}

static weft_value nothing(weft_value data)
{
    return data.kind == WEFT_NONE ? data : weft_none;
}

/* Descriptors: [0] is read, [1] written. */

static weft_value read_five(weft_value data)
{
    const int *ends = weft_as_ptr(data);
    char text[8] = {0};
    errno = 1234;
    ck_assert_int_eq(read(ends[0], text, sizeof(text)), 5);
    ck_assert_int_eq(errno, 1234);
    ck_assert_str_eq(text, "hello");
    return weft_int(1);
}

static weft_value write_five(weft_value data)
{
    const int *ends = weft_as_ptr(data);
    ck_assert_int_eq(write(ends[1], "hello", 5), 5);
    return weft_none;
}

static void pair_close(int *ends)
{
    close(ends[0]);
    close(ends[1]);
}

START_TEST(a_read_waits_for_a_write)
{
    int ends[2];
    ck_assert_int_eq(weft_patch(), 0);
    ck_assert_int_eq(weft_patch(), 0);
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(side_by_side(read_five, write_five, ends), 1);
    pair_close(ends);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    ck_assert_int_eq(side_by_side(read_five, write_five, ends), 1);
    pair_close(ends);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    ck_assert_int_eq(side_by_side(read_five, write_five, ends), 1);
    ck_assert_int_eq(fcntl(ends[0], F_GETFL) & O_NONBLOCK, 0);
    pair_close(ends);
}
END_TEST

static weft_value read_event(weft_value data)
{
    const int *fd = weft_as_ptr(data);
    uint64_t count = 0;
    ck_assert_int_eq(read(*fd, &count, sizeof(count)), 8);
    return weft_int((int64_t)count);
}

static weft_value write_event(weft_value data)
{
    const int *fd = weft_as_ptr(data);
    uint64_t count = 7;
    ck_assert_int_eq(write(*fd, &count, sizeof(count)), 8);
    return weft_none;
}

START_TEST(what_is_neither_socket_nor_pipe)
{
    int fd = eventfd(0, 0);
    char text[4] = "abc", path[256];
    weft_patch();
    ck_assert_int_eq(side_by_side(read_event, write_event, &fd), 7);
    close(fd);
    snprintf(path, sizeof(path), "%s/file", fixture_folder());
    fd = open(path, O_RDWR | O_CREAT, 0600);
    ck_assert_int_eq(write(fd, text, 3), 3);
    close(fd);
}
END_TEST

enum { MUCH = 3000000 };

static weft_value write_much(weft_value data)
{
    const int *ends = weft_as_ptr(data);
    char *block = calloc(1, MUCH);
    struct iovec pieces[3] = {{block, 1000}, {block, MUCH - 1010}, {block, 10}};
    ck_assert_int_eq(write(ends[1], block, MUCH), MUCH);
    ck_assert_int_eq(writev(ends[1], pieces, 3), MUCH);
    free(block);
    return weft_int(MUCH);
}

static weft_value read_much(weft_value data)
{
    const int *ends = weft_as_ptr(data);
    char *block = malloc(100000);
    for (size_t all = 0; all < 2 * (size_t)MUCH;) {
        struct iovec pieces[2] = {{block, 50000}, {block + 50000, 50000}};
        ssize_t got = readv(ends[0], pieces, 2);
        ck_assert_int_gt(got, 0);
        all += (size_t)got;
    }
    free(block);
    return weft_none;
}

START_TEST(a_write_writes_all)
{
    int ends[2];
    weft_patch();
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(side_by_side(write_much, read_much, ends), MUCH);
    pair_close(ends);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    ck_assert_int_eq(side_by_side(write_much, read_much, ends), MUCH);
    pair_close(ends);
}
END_TEST

static weft_value write_to_the_end(weft_value data)
{
    const int *ends = weft_as_ptr(data);
    char *block = calloc(1, MUCH);
    ssize_t done = send(ends[1], block, MUCH, MSG_NOSIGNAL);
    ck_assert_int_gt(done, 0);
    ck_assert_int_lt(done, MUCH);
    ck_fails(send(ends[1], block, MUCH, MSG_NOSIGNAL), EPIPE);
    free(block);
    return weft_none;
}

static weft_value close_reader(weft_value data)
{
    int *ends = weft_as_ptr(data);
    close(ends[0]);
    return weft_none;
}

START_TEST(a_write_that_is_cut_short)
{
    int ends[2];
    weft_patch();
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    side_by_side(write_to_the_end, close_reader, ends);
    close(ends[1]);
}
END_TEST

static weft_value receive_all(weft_value data)
{
    const int *ends = weft_as_ptr(data);
    char text[16] = {0};
    struct iovec pieces[2] = {{text, 3}, {text + 3, 7}};
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};
    ck_assert_int_eq(recv(ends[0], text, 10, MSG_WAITALL), 10);
    ck_assert_str_eq(text, "hellohello");
    memset(text, 0, sizeof(text));
    ck_assert_int_eq(recvmsg(ends[0], &message, MSG_WAITALL), 10);
    ck_assert_str_eq(text, "hellohello");
    ck_assert_int_eq(recv(ends[0], text, 10, MSG_WAITALL), 5); /* and the end */
    return weft_none;
}

static weft_value send_slowly(weft_value data)
{
    const int *ends = weft_as_ptr(data);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(send(ends[1], "hello", 5, 0), 5);
        weft_sleep(0.002);
    }
    shutdown(ends[1], SHUT_WR);
    return weft_none;
}

START_TEST(msg_waitall)
{
    int ends[2];
    weft_patch();
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    side_by_side(receive_all, send_slowly, ends);
    pair_close(ends);
}
END_TEST

static weft_value receive_datagrams(weft_value data)
{
    const int *ends = weft_as_ptr(data);
    char texts[4][8] = {0};
    struct iovec pieces[4];
    struct mmsghdr messages[4] = {0};
    for (int i = 0; i < 4; i++) {
        pieces[i] = (struct iovec){texts[i], 8};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &pieces[i], .msg_iovlen = 1};
    }
    ck_assert_int_eq(recvmmsg(ends[0], messages, 4, 0, NULL), 4);
    ck_assert_str_eq(texts[3], "three");
    ck_assert_uint_eq(messages[3].msg_len, 6);
    ck_assert_int_eq(recvmmsg(ends[0], messages, 4, MSG_WAITFORONE, NULL), 1);
    struct sockaddr_un from;
    socklen_t length = sizeof(from);
    ck_assert_int_eq(recvfrom(ends[0], texts[0], 8, 0, (struct sockaddr *)&from, &length), 5);
    return weft_none;
}

static weft_value send_datagrams(weft_value data)
{
    const int *ends = weft_as_ptr(data);
    static char *const words[] = {"nil", "one", "two", "three"};
    struct iovec pieces[4];
    struct mmsghdr messages[4] = {0};
    for (int i = 0; i < 4; i++) {
        pieces[i] = (struct iovec){words[i], strlen(words[i]) + 1};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &pieces[i], .msg_iovlen = 1};
    }
    ck_assert_int_eq(sendmmsg(ends[1], messages, 4, 0), 4);
    weft_sleep(0.002);
    ck_assert_int_eq(sendmsg(ends[1], &messages[0].msg_hdr, 0), 4);
    weft_sleep(0.002);
    ck_assert_int_eq(sendto(ends[1], "hello", 5, 0, NULL, 0), 5);
    return weft_none;
}

START_TEST(datagrams)
{
    int ends[2];
    weft_patch();
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
    side_by_side(receive_datagrams, send_datagrams, ends);
    pair_close(ends);
}
END_TEST

static weft_value never_wait(weft_value data)
{
    const int *ends = weft_as_ptr(data);
    char text[8];
    struct timeval limit = {.tv_usec = 3000};
    struct pollfd asked = {.fd = ends[0], .events = POLLIN};
    ck_fails(recv(ends[0], text, 8, MSG_DONTWAIT), EAGAIN);
    ck_assert_int_eq(poll(&asked, 1, 0), 0);
    ck_assert_int_eq(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    ck_fails(read(ends[0], text, 8), EAGAIN);
    ck_fails(recv(ends[0], text, 8, 0), EAGAIN);
    ck_fails(recv(ends[0], text, 8, MSG_WAITALL), EAGAIN);
    ck_assert_int_eq(fcntl(ends[0], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    ck_assert_int_eq(fcntl(ends[0], F_SETFL, 0), 0);
    ck_assert_int_eq(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    ck_fails(read(ends[0], text, 8), EAGAIN);
    ck_fails(recv(ends[0], text, 8, 0), EAGAIN);
    return weft_none;
}

static weft_value errors_of_io(weft_value data)
{
    const int *ends = weft_as_ptr(data);
    void *volatile nowhere = (void *)1;
    volatile int negative = -1;
    struct epoll_event event;
    char text[8] = "";
    ck_fails(read(-1, text, 8), EBADF);
    ck_fails(write(1000, text, 8), EBADF);
    ck_fails(recv(-1, text, 8, 0), EBADF);
    ck_fails(send(STDIN_FILENO, text, 8, 0), ENOTSOCK);
    ck_fails(readv(ends[0], NULL, negative), EINVAL);
    ck_fails(accept(ends[0], NULL, NULL), EINVAL);
    if (!fixture_copies()) /* Valgrind reports them */
        ck_fails(poll(nowhere, 1, 10), EFAULT);
    ck_fails(epoll_wait(ends[0], &event, 1, 10), EINVAL);
    ck_fails(select(-1, NULL, NULL, NULL, NULL), EINVAL);
    ck_fails(nanosleep(&(struct timespec){.tv_nsec = -1}, NULL), EINVAL);
    ck_fails(waitpid(getpid(), NULL, 0), ECHILD);
    ck_assert_int_eq(write(ends[1], "x", 1), 1);
    if (!fixture_copies())
        ck_fails(read(ends[0], nowhere, 8), EFAULT);
    ck_assert_int_eq(read(ends[0], text, 0), 0);
    ck_assert_int_eq(read(ends[0], text, 8), 1);
    return weft_none;
}

START_TEST(what_does_not_wait)
{
    int ends[2];
    weft_patch();
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    alone(never_wait, ends);
    pair_close(ends);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    alone(errors_of_io, ends);
    pair_close(ends);
}
END_TEST

/* Connections. */

static int listener_new(struct sockaddr_in *address)
{
    socklen_t length = sizeof(*address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    ck_assert_int_eq(bind(fd, (struct sockaddr *)address, length), 0);
    ck_assert_int_eq(listen(fd, 8), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)address, &length), 0);
    return fd;
}

struct meeting {
    int listener;
    struct sockaddr_in address;
};

static weft_value accept_one(weft_value data)
{
    const struct meeting *meeting = weft_as_ptr(data);
    struct sockaddr_in from;
    socklen_t length = sizeof(from);
    int ends[2] = {accept(meeting->listener, (struct sockaddr *)&from, &length)};
    ck_assert_int_ge(ends[0], 0);
    ck_assert_uint_eq(length, sizeof(from));
    read_five(weft_ptr(ends));
    close(ends[0]);
    ends[0] = accept4(meeting->listener, NULL, NULL, SOCK_CLOEXEC);
    ck_assert_int_eq(fcntl(ends[0], F_GETFD), FD_CLOEXEC);
    close(ends[0]);
    return weft_int(1);
}

static weft_value connect_one(weft_value data)
{
    const struct meeting *meeting = weft_as_ptr(data);
    for (int i = 0; i < 2; i++) {
        int ends[2] = {-1, socket(AF_INET, SOCK_STREAM, 0)};
        ck_assert_int_eq(connect(ends[1], (const struct sockaddr *)&meeting->address, sizeof(meeting->address)), 0);
        ck_assert_int_eq(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0);
        if (i == 0)
            write_five(weft_ptr(ends));
        close(ends[1]);
    }
    return weft_none;
}

static weft_value connect_refused(weft_value data)
{
    const struct meeting *meeting = weft_as_ptr(data);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_fails(connect(fd, (const struct sockaddr *)&meeting->address, sizeof(meeting->address)), ECONNREFUSED);
    close(fd);
    return weft_none;
}

static weft_value accept_timed(weft_value data)
{
    const struct meeting *meeting = weft_as_ptr(data);
    struct timeval limit = {.tv_usec = 3000};
    ck_assert_int_eq(setsockopt(meeting->listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    ck_fails(accept(meeting->listener, NULL, NULL), EAGAIN);
    return weft_none;
}

START_TEST(connections)
{
    struct meeting meeting;
    weft_patch();
    meeting.listener = listener_new(&meeting.address);
    ck_assert_int_eq(side_by_side(accept_one, connect_one, &meeting), 1);
    alone(accept_timed, &meeting);
    close(meeting.listener);
    alone(connect_refused, &meeting);
}
END_TEST

/* Polling. */

static weft_value poll_both(weft_value data)
{
    const int *ends = weft_as_ptr(data);
    struct pollfd asked[6] = {{.fd = -1, .events = POLLIN}, {.fd = ends[0], .events = POLLIN}, {.fd = ends[1], .events = POLLPRI},
        {.fd = ends[0], .events = POLLIN}, {.fd = ends[0], .events = POLLIN}, {.fd = ends[0], .events = POLLIN}};
    char text[8];
    ck_assert_int_eq(poll(asked, 6, 20000), 4);
    ck_assert_int_eq(asked[0].revents, 0);
    ck_assert_int_eq(asked[1].revents, POLLIN);
    ck_assert_int_eq(read(ends[0], text, 8), 5);
    ck_assert_int_eq(poll(asked, 2, 3), 0);
    ck_assert_int_eq(ppoll(asked, 2, &(struct timespec){.tv_nsec = 2000000}, NULL), 0);
    ck_assert_int_eq(poll(NULL, 0, 2), 0);
    return weft_none;
}

static weft_value select_both(weft_value data)
{
    const int *ends = weft_as_ptr(data);
    char text[8];
    fd_set in, out;
    struct timeval limit = {.tv_sec = 20};
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(ends[0], &in);
    ck_assert_int_eq(select(ends[0] + 1, &in, &out, NULL, &limit), 1);
    ck_assert(FD_ISSET(ends[0], &in));
    ck_assert_int_lt(limit.tv_sec, 20);
    ck_assert_int_eq(read(ends[0], text, 8), 5);
    limit = (struct timeval){.tv_usec = 2000};
    ck_assert_int_eq(select(ends[0] + 1, &in, NULL, NULL, &limit), 0);
    ck_assert(!FD_ISSET(ends[0], &in));
    ck_assert_int_eq(limit.tv_usec, 0);
    FD_SET(50, &in);
    ck_fails(select(51, &in, NULL, NULL, NULL), EBADF);
    ck_assert_int_eq(pselect(0, NULL, NULL, NULL, &(struct timespec){.tv_nsec = 2000000}, NULL), 0);
    return weft_none;
}

static weft_value epoll_one(weft_value data)
{
    const int *ends = weft_as_ptr(data);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = 5};
    char text[8];
    int epoll = epoll_create1(0);
    ck_assert_int_eq(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event), 0);
    event.data.u32 = 0;
    ck_assert_int_eq(epoll_wait(epoll, &event, 1, -1), 1);
    ck_assert_uint_eq(event.data.u32, 5);
    ck_assert_int_eq(read(ends[0], text, 8), 5);
    ck_assert_int_eq(epoll_wait(epoll, &event, 1, 2), 0);
    ck_assert_int_eq(epoll_pwait(epoll, &event, 1, 2, NULL), 0);
    close(epoll);
    return weft_none;
}

START_TEST(polling)
{
    int ends[2];
    weft_patch();
    ck_assert_int_eq(pipe(ends), 0);
    side_by_side(poll_both, write_five, ends);
    side_by_side(select_both, write_five, ends);
    side_by_side(epoll_one, write_five, ends);
    pair_close(ends);
}
END_TEST

static uint32_t interruptions;

static void interrupt(int signal)
{
    (void)signal;
    __atomic_add_fetch(&interruptions, 1, __ATOMIC_RELAXED);
}

/* Signals whose handler lets no call be begun again come to the thread all the time: no call tells of them, and none blocks the thread. */
START_TEST(no_signal_interrupts)
{
    int ends[2];
    struct meeting meeting;
    struct sigaction action = {.sa_handler = interrupt};
    struct sigevent here = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1, ._sigev_un._tid = gettid()};
    long often = fixture_copies() || FIXTURE_TSAN ? 5000000 : 50000;
    timer_t timer;
    weft_patch();
    meeting.listener = listener_new(&meeting.address);
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
    ck_assert_int_eq(timer_create(CLOCK_MONOTONIC, &here, &timer), 0);
    timer_settime(timer, 0, &(struct itimerspec){{.tv_nsec = often}, {.tv_nsec = often}}, NULL);
    for (int i = 0; i < 200; i++)
        ck_assert_int_eq(side_by_side(accept_one, connect_one, &meeting), 1);
    for (int i = 0; i < 3; i++) {
        side_by_side(poll_both, write_five, ends);
        side_by_side(select_both, write_five, ends);
        side_by_side(epoll_one, write_five, ends);
    }
    timer_delete(timer);
    ck_assert_uint_gt(__atomic_load_n(&interruptions, __ATOMIC_RELAXED), 0);
    pair_close(ends);
    close(meeting.listener);
}
END_TEST

/* The names that _FORTIFY_SOURCE makes of them, and those that a program rarely calls; also where nothing is patched. */

extern ssize_t __read_chk(int fd, void *buffer, size_t size, size_t room);
extern ssize_t __recv_chk(int fd, void *buffer, size_t size, size_t room, int flags);
extern ssize_t __recvfrom_chk(int fd, void *buffer, size_t size, size_t room, int flags, __SOCKADDR_ARG from, socklen_t *length);
extern int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t room);
extern int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask, size_t room);

static weft_value rare_names(weft_value data)
{
    const int *ends = weft_as_ptr(data);
    const struct timespec moment = {.tv_nsec = 1000000};
    struct timespec limit = {.tv_sec = 1};
    struct pollfd asked = {.fd = ends[0], .events = POLLIN};
    struct epoll_event event = {.events = EPOLLIN};
    sigset_t present, other;
    char text[16] = "";
    struct iovec piece = {text, 1};
    struct msghdr one = {.msg_iov = &piece, .msg_iovlen = 1};
    struct mmsghdr many = {.msg_hdr = one};
    fd_set in;
    pthread_sigmask(SIG_SETMASK, NULL, &present);
    other = present;
    sigaddset(&other, SIGUSR2);
    int epoll = epoll_create1(0);
    ck_assert_int_eq(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event), 0);
    ck_assert_int_eq(__poll_chk(&asked, 1, 1, sizeof(asked)), 0);
    ck_assert_int_eq(__ppoll_chk(&asked, 1, &moment, &present, sizeof(asked)), 0);
    ck_assert_int_eq(__ppoll_chk(&asked, 1, &moment, &other, sizeof(asked)), 0);
    ck_assert_int_eq(ppoll(&asked, 1, &moment, &other), 0);
    if (!fixture_copies()) { /* Valgrind 3.19 does not know it */
        ck_assert_int_eq(epoll_pwait2(epoll, &event, 1, &moment, NULL), 0);
        ck_assert_int_eq(epoll_pwait2(epoll, &event, 1, &moment, &other), 0);
    }
    ck_assert_int_eq(epoll_pwait(epoll, &event, 1, 1, &other), 0);
    FD_ZERO(&in);
    ck_assert_int_eq(pselect(0, &in, NULL, NULL, &moment, &other), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(send(ends[1], "12345678", 8, 0), 8);
    ck_assert_int_eq(writev(ends[1], &piece, 1), 1);
    ck_assert_int_eq(sendmmsg(ends[1], &many, 1, 0), 1);
    ck_assert_int_eq(sendto(ends[1], text, 1, 0, NULL, 0), 1);
    ck_assert_int_eq(sendmsg(ends[1], &one, 0), 1);
    ck_assert_int_eq(__read_chk(ends[0], text, 2, sizeof(text)), 2);
    ck_assert_int_eq(__recv_chk(ends[0], text, 2, sizeof(text), 0), 2);
    ck_assert_int_eq(__recvfrom_chk(ends[0], text, 2, sizeof(text), 0, (__SOCKADDR_ARG){.__sockaddr__ = NULL}, NULL), 2);
    ck_assert_int_eq(recvfrom(ends[0], text, 1, 0, NULL, NULL), 1);
    ck_assert_int_eq(recvmmsg(ends[0], &many, 1, 0, &limit), 1);
    ck_assert_int_eq(recvmsg(ends[0], &one, 0), 1);
    ck_assert_int_eq(readv(ends[0], &piece, 1), 1);
    if (!fixture_copies())
        ck_assert_int_eq(epoll_pwait2(epoll, &event, 1, NULL, NULL), 1);
    ck_assert_int_eq(poll(&asked, 1, -1), 1);
    close(epoll);
    ck_assert_int_eq(clock_nanosleep(CLOCK_MONOTONIC, 0, &moment, NULL), 0);
    ck_assert_int_eq(nanosleep(&moment, NULL), 0);
    ck_assert_uint_eq(sleep(0), 0);
    ck_fails(wait(NULL), ECHILD);
    ck_fails(accept4(ends[0], NULL, NULL, 0), EINVAL);
    ck_fails(connect(ends[0], NULL, 0), EINVAL);
    return weft_none;
}

START_TEST(rare_names_and_unpatched_ones)
{
    int ends[2];
    weft_patch();
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
        if (i == 0)
            alone(rare_names, ends);
        else
            rare_names(weft_ptr(ends));
        pair_close(ends);
    }
}
END_TEST

/* Time. */

static int asleep;

static weft_value sleep_each_way(weft_value data)
{
    struct timespec moment, left;
    asleep++;
    while (asleep < 50) /* all of them at once, or never */
        usleep(100);
    ck_assert_int_eq(nanosleep(&(struct timespec){.tv_nsec = 1000000}, &left), 0);
    ck_assert_int_eq(nanosleep(&(struct timespec){0}, NULL), 0);
    ck_assert_int_eq(clock_nanosleep(CLOCK_REALTIME, 0, &(struct timespec){.tv_nsec = 1000000}, NULL), 0);
    clock_gettime(CLOCK_REALTIME, &moment);
    ck_assert_int_eq(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &moment, NULL), 0);
    ck_assert_uint_eq(sleep(0), 0);
    return nothing(data);
}

START_TEST(sleeps)
{
    weft_task *tasks[50];
    weft_patch();
    for (int i = 0; i < 50; i++)
        tasks[i] = spawn(sleep_each_way, NULL);
    for (int i = 0; i < 50; i++)
        end(tasks[i]);
}
END_TEST

/* Children, threads, names. */

static weft_value wait_for_child(weft_value data)
{
    const int *ends = weft_as_ptr(data);
    int status = 0;
    for (int round = 0; round < 3; round++) {
        pid_t child = fork();
        if (child == 0) {
            char text[8];
            alarm(20);
            _exit(read(ends[0], text, 5) == 5 ? 7 : 1);
        }
        pid_t got = round == 0 ? waitpid(child, &status, 0) : round == 1 ? waitpid(-1, &status, 0) : wait(&status);
        ck_assert_int_eq(got, child);
        ck_assert(WIFEXITED(status));
        ck_assert_int_eq(WEXITSTATUS(status), 7);
    }
    ck_fails(wait(NULL), ECHILD);
    return weft_none;
}

static weft_value write_three_times(weft_value data)
{
    for (int i = 0; i < 3; i++)
        write_five(data);
    return weft_none;
}

START_TEST(children)
{
    int ends[2];
    weft_patch();
    ck_assert_int_eq(pipe(ends), 0);
    side_by_side(wait_for_child, write_three_times, ends);
    pair_close(ends);
}
END_TEST

static void *read_in_thread(void *data)
{
    const int *ends = data;
    char text[8];
    return read(ends[0], text, 5) == 5 ? data : NULL;
}

static weft_value join_thread(weft_value data)
{
    pthread_t thread;
    void *value = NULL;
    ck_assert_int_eq(pthread_create(&thread, NULL, read_in_thread, weft_as_ptr(data)), 0);
    ck_assert_int_eq(pthread_join(thread, &value), 0);
    ck_assert_ptr_eq(value, weft_as_ptr(data));
    ck_assert_int_eq(pthread_join(pthread_self(), NULL), EDEADLK);
    return weft_none;
}

static weft_value look_up(weft_value data)
{
    struct addrinfo *found = NULL, hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    (void)data;
    ck_assert_int_eq(getaddrinfo("localhost", "80", &hints, &found), 0);
    ck_assert_uint_eq(((struct sockaddr_in *)(void *)found->ai_addr)->sin_port, htons(80));
    freeaddrinfo(found);
    hints.ai_flags = AI_NUMERICHOST;
    ck_assert_int_eq(getaddrinfo("not numeric", NULL, &hints, &found), EAI_NONAME);
    return weft_none;
}

START_TEST(threads_and_names)
{
    int ends[2];
    weft_patch();
    ck_assert_int_eq(pipe(ends), 0);
    side_by_side(join_thread, write_five, ends);
    alone(look_up, NULL);
    pair_close(ends);
}
END_TEST

/* Mutexes and conditions. */

struct shared {
    pthread_mutex_t mutex;
    pthread_cond_t condition;
    int inside, most, count;
    bool ready;
};

static void shared_make(struct shared *shared, int type)
{
    pthread_mutexattr_t attributes;
    *shared = (struct shared){0};
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, type);
    pthread_mutex_init(&shared->mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    pthread_cond_init(&shared->condition, NULL);
}

static void shared_end(struct shared *shared)
{
    ck_assert_int_eq(pthread_cond_destroy(&shared->condition), 0);
    ck_assert_int_eq(pthread_mutex_destroy(&shared->mutex), 0);
}

static void inside_alone(struct shared *shared)
{
    shared->inside++;
    shared->most = shared->inside > shared->most ? shared->inside : shared->most;
    usleep(50);
    shared->inside--;
    shared->count++;
}

static weft_value take_turns(weft_value data)
{
    struct shared *shared = weft_as_ptr(data);
    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(pthread_mutex_lock(&shared->mutex), 0);
        inside_alone(shared);
        ck_assert_int_eq(pthread_mutex_unlock(&shared->mutex), 0);
    }
    return weft_none;
}

static void *take_turns_in_thread(void *data)
{
    take_turns(weft_ptr(data));
    return NULL;
}

static weft_value lock_twice(weft_value data)
{
    struct shared *shared = weft_as_ptr(data);
    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(pthread_mutex_lock(&shared->mutex), 0);
        ck_assert_int_eq(pthread_mutex_trylock(&shared->mutex), 0);
        inside_alone(shared);
        ck_assert_int_eq(pthread_mutex_unlock(&shared->mutex), 0);
        inside_alone(shared);
        ck_assert_int_eq(pthread_mutex_unlock(&shared->mutex), 0);
    }
    return weft_none;
}

static weft_value lock_checked(weft_value data)
{
    struct shared *shared = weft_as_ptr(data);
    ck_assert_int_eq(pthread_mutex_lock(&shared->mutex), 0);
    ck_assert_int_eq(pthread_mutex_lock(&shared->mutex), EDEADLK);
    ck_assert_int_eq(pthread_mutex_trylock(&shared->mutex), EBUSY);
    shared->ready = true;
    usleep(2000);
    ck_assert_int_eq(pthread_mutex_unlock(&shared->mutex), 0);
    ck_assert_int_eq(pthread_mutex_unlock(&shared->mutex), EPERM);
    return weft_none;
}

static weft_value unlock_of_another(weft_value data)
{
    struct shared *shared = weft_as_ptr(data);
    ck_assert(shared->ready);
    ck_assert_int_eq(pthread_mutex_unlock(&shared->mutex), EPERM);
    ck_assert_int_eq(pthread_mutex_trylock(&shared->mutex), EBUSY);
    ck_assert_int_eq(pthread_mutex_lock(&shared->mutex), 0);
    ck_assert_int_eq(pthread_mutex_unlock(&shared->mutex), 0);
    return weft_none;
}

/* Ten coroutines and a thread; what the thread with the coroutines does itself takes its turns, too. */
static void turns_of_many(struct shared *shared, weft_function *function, int each)
{
    weft_task *tasks[10];
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, take_turns_in_thread, shared), 0);
    for (int i = 0; i < 10; i++)
        tasks[i] = spawn(function, shared);
    weft_yield();
    take_turns_in_thread(shared);
    for (int i = 0; i < 10; i++)
        end(tasks[i]);
    pthread_join(thread, NULL);
    ck_assert_int_eq(shared->most, 1);
    ck_assert_int_eq(shared->count, 20 + each * 10);
}

START_TEST(a_mutex_is_one_coroutine_s)
{
    struct shared shared;
    skip_under_tsan(__func__);
    weft_patch();
    shared_make(&shared, PTHREAD_MUTEX_NORMAL);
    turns_of_many(&shared, take_turns, 10);
    shared_end(&shared);
    shared_make(&shared, PTHREAD_MUTEX_RECURSIVE);
    turns_of_many(&shared, lock_twice, 20);
    shared_end(&shared);
    shared_make(&shared, PTHREAD_MUTEX_ERRORCHECK);
    turns_of_many(&shared, take_turns, 10);
    side_by_side(lock_checked, unlock_of_another, &shared);
    shared_end(&shared);
}
END_TEST

static weft_value lock_late(weft_value data)
{
    struct shared *shared = weft_as_ptr(data);
    struct timespec moment;
    clock_gettime(CLOCK_REALTIME, &moment);
    moment.tv_nsec += 2000000;
    moment.tv_sec += moment.tv_nsec / 1000000000;
    moment.tv_nsec %= 1000000000;
    ck_assert_int_eq(pthread_mutex_timedlock(&shared->mutex, &moment), ETIMEDOUT);
    ck_assert_int_eq(pthread_mutex_clocklock(&shared->mutex, CLOCK_MONOTONIC, &(struct timespec){.tv_sec = 1}), ETIMEDOUT);
    return weft_none;
}

START_TEST(a_mutex_of_the_thread_itself)
{
    struct shared shared;
    skip_under_tsan(__func__);
    weft_patch();
    shared_make(&shared, PTHREAD_MUTEX_RECURSIVE);
    ck_assert_int_eq(pthread_mutex_lock(&shared.mutex), 0);
    alone(lock_late, &shared);
    ck_assert_int_eq(pthread_mutex_unlock(&shared.mutex), 0);
    shared_end(&shared);
}
END_TEST

static weft_value wait_ready(weft_value data)
{
    struct shared *shared = weft_as_ptr(data);
    pthread_mutex_lock(&shared->mutex);
    while (!shared->ready)
        ck_assert_int_eq(pthread_cond_wait(&shared->condition, &shared->mutex), 0);
    shared->count++;
    pthread_mutex_unlock(&shared->mutex);
    return weft_int(1);
}

static weft_value make_ready(weft_value data)
{
    struct shared *shared = weft_as_ptr(data);
    pthread_mutex_lock(&shared->mutex);
    shared->ready = true;
    pthread_cond_broadcast(&shared->condition);
    pthread_mutex_unlock(&shared->mutex);
    return weft_none;
}

static void *make_ready_in_thread(void *data)
{
    usleep(1000);
    make_ready(weft_ptr(data));
    return NULL;
}

static void *wait_ready_in_thread(void *data)
{
    wait_ready(weft_ptr(data));
    return NULL;
}

static weft_value wait_in_vain(weft_value data)
{
    struct shared *shared = weft_as_ptr(data);
    struct timespec moment;
    pthread_mutex_lock(&shared->mutex);
    for (int i = 0; i < 2; i++) {
        clock_gettime(CLOCK_REALTIME, &moment);
        moment.tv_nsec += i * 1000000;
        moment.tv_sec += moment.tv_nsec / 1000000000;
        moment.tv_nsec %= 1000000000;
        ck_assert_int_eq(pthread_cond_timedwait(&shared->condition, &shared->mutex, &moment), ETIMEDOUT);
    }
    pthread_mutex_unlock(&shared->mutex);
    return weft_none;
}

START_TEST(conditions)
{
    struct shared shared;
    weft_task *tasks[5];
    pthread_t threads[2];
    skip_under_tsan(__func__);
    weft_patch();
    shared_make(&shared, PTHREAD_MUTEX_NORMAL);
    alone(wait_in_vain, &shared);
    ck_assert_int_eq(side_by_side(wait_ready, make_ready, &shared), 1);
    shared.ready = false;
    for (int i = 0; i < 5; i++)
        tasks[i] = spawn(wait_ready, &shared);
    pthread_create(&threads[0], NULL, wait_ready_in_thread, &shared);
    pthread_create(&threads[1], NULL, make_ready_in_thread, &shared);
    for (int i = 0; i < 5; i++)
        end(tasks[i]);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    ck_assert_int_eq(shared.count, 7);
    shared_end(&shared);
}
END_TEST

/* How a wait ends otherwise. */

static weft_value read_of_closed(weft_value data)
{
    const int *ends = weft_as_ptr(data);
    char text[8];
    ck_fails(read(ends[0], text, 8), EBADF);
    return weft_none;
}

static weft_value poll_of_closed(weft_value data)
{
    const int *ends = weft_as_ptr(data);
    struct pollfd asked = {.fd = ends[0], .events = POLLIN};
    ck_assert_int_eq(poll(&asked, 1, -1), 1);
    ck_assert_int_eq(asked.revents, POLLNVAL);
    return weft_none;
}

static void *close_in_thread(void *data)
{
    const int *ends = data;
    usleep(2000);
    close(ends[0]);
    return NULL;
}

START_TEST(close_ends_who_waits)
{
    int ends[2];
    pthread_t thread;
    skip_under_tsan(__func__);
    weft_patch();
    ck_assert_int_eq(pipe(ends), 0);
    side_by_side(read_of_closed, close_reader, ends);
    close(ends[1]);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    side_by_side(poll_of_closed, close_reader, ends);
    close(ends[1]);
    ck_assert_int_eq(pipe(ends), 0);
    pthread_create(&thread, NULL, close_in_thread, ends);
    alone(read_of_closed, ends);
    pthread_join(thread, NULL);
    close(ends[1]);
}
END_TEST

static weft_value dup_over_reader(weft_value data)
{
    const int *ends = weft_as_ptr(data);
    ck_assert_int_eq(dup2(ends[1], ends[0]), ends[0]);
    return weft_none;
}

static weft_value dup3_over_reader(weft_value data)
{
    const int *ends = weft_as_ptr(data);
    ck_fails(dup3(-1, ends[0], 0), EBADF); /* which closes nothing */
    weft_yield();
    ck_assert_int_eq(dup3(ends[1], ends[0], O_CLOEXEC), ends[0]);
    return weft_none;
}

static weft_value close_range_of_reader(weft_value data)
{
    const int *ends = weft_as_ptr(data);
    ck_assert_int_eq(close_range((unsigned)ends[0], (unsigned)ends[0], 0), 0);
    return weft_none;
}

START_TEST(other_ways_to_close_end_who_waits)
{
    static weft_function *const ways[] = {dup_over_reader, dup3_over_reader, close_range_of_reader};
    int ends[2];
    skip_under_tsan(__func__);
    weft_patch();
    for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
        ck_assert_int_eq(pipe(ends), 0);
        side_by_side(read_of_closed, ways[i], ends);
        if (ways[i] != close_range_of_reader)
            close(ends[0]);
        close(ends[1]);
    }
}
END_TEST

static weft_value weft_read_five(weft_value data)
{
    const int *ends = weft_as_ptr(data);
    char text[8] = {0};
    ck_assert_int_eq(weft_read(ends[0], text, sizeof(text), weft_in(10)), 5);
    ck_assert_str_eq(text, "hello");
    return weft_int(1);
}

/* What a thread's hub knows of a descriptor that Weft has opened is not taken for knowledge of another that gets its number. */
static weft_value close_and_reuse(weft_value data)
{
    const int *way = weft_as_ptr(data);
    char address[64], octet;
    int ends[2], listener = weft_listen("127.0.0.1:0");
    ck_assert_int_gt(weft_socket_address(listener, address, sizeof(address)), 0);
    int dialled = weft_dial(address, weft_in(20));
    ck_assert_int_ge(dialled, 0);
    ck_fails(weft_read(dialled, &octet, 1, weft_in(0.002)), ETIMEDOUT);
    ck_assert_int_eq(pipe(ends), 0);
    if (*way == 0)
        ck_assert_int_eq(dup2(ends[0], dialled), dialled);
    else if (*way == 1) {
        close(dialled);
        ck_assert_int_eq(fcntl(ends[0], F_DUPFD, dialled), dialled);
    } else {
        ck_assert_int_eq(close_range((unsigned)dialled, (unsigned)dialled, 0), 0);
        ck_assert_int_eq(fcntl(ends[0], F_DUPFD, dialled), dialled);
    }
    close(ends[0]);
    ends[0] = dialled;
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(side_by_side(weft_read_five, write_five, ends), 1);
    close(ends[0]);
    close(ends[1]);
    weft_close(listener);
    return weft_none;
}

START_TEST(what_weft_opened_may_be_closed)
{
    skip_under_tsan(__func__);
    weft_patch();
    for (int way = 0; way < 3; way++)
        alone(close_and_reuse, &way);
}
END_TEST

static weft_value read_cancelled(weft_value data)
{
    const int *ends = weft_as_ptr(data);
    struct timespec left = {0};
    char text[8];
    ck_fails(read(ends[0], text, 8), ECANCELED);
    ck_fails(nanosleep(&(struct timespec){.tv_sec = 100}, &left), ECANCELED);
    ck_assert_int_ge(left.tv_sec, 98);
    ck_assert_uint_ge(sleep(100), 99);
    ck_assert_int_eq(write(ends[1], "x", 1), 1); /* what does not wait is done */
    return weft_none;
}

static weft_value read_late(weft_value data)
{
    const int *ends = weft_as_ptr(data);
    char text[8];
    weft_deadline (weft_in(0.002))
        ck_fails(read(ends[0], text, 8), ETIMEDOUT);
    return weft_none;
}

START_TEST(cancellation_and_deadlines)
{
    int ends[2];
    weft_patch();
    ck_assert_int_eq(pipe(ends), 0);
    alone(read_late, ends);
    weft_task *task = spawn(read_cancelled, ends);
    weft_yield();
    weft_task_cancel(task);
    end(task);
    pair_close(ends);
}
END_TEST

/* Where nothing changes. */

static int turns;

static weft_value count_turns(weft_value data)
{
    for (int i = 0; i < 3; i++) {
        turns++;
        weft_yield();
    }
    return nothing(data);
}

static weft_value sleep_unpatched(weft_value data)
{
    struct pollfd asked = {.fd = -1};
    usleep(1000);
    ck_assert_int_eq(poll(&asked, 1, 1), 0);
    ck_assert_int_eq(turns, 0);
    return nothing(data);
}

START_TEST(before_weft_patch_nothing_changes)
{
    side_by_side(sleep_unpatched, count_turns, NULL);
    ck_assert_int_eq(turns, 3);
    turns = 0;
    weft_patch();
    ck_assert_int_eq(weft_flow_here(), WEFT_FLOW_NONE);
    weft_task *task = spawn(count_turns, NULL);
    ck_assert_int_eq(weft_flow_here(), WEFT_FLOW_THREAD);
    usleep(1000); /* the thread's own: its coroutines stand */
    ck_assert_int_eq(turns, 0);
    end(task);
}
END_TEST

static int handled;

static void on_signal(int number)
{
    ck_assert_int_eq(weft_flow_here(), WEFT_FLOW_NONE);
    usleep(500);
    handled = number;
    ck_assert_int_eq(turns, 1);
}

static weft_value be_interrupted(weft_value data)
{
    ck_assert_int_eq(weft_flow_here(), WEFT_FLOW_COROUTINE);
    turns = 1;
    raise(SIGUSR1);
    ck_assert_int_eq(handled, SIGUSR1);
    return nothing(data);
}

START_TEST(a_signal_handler_on_its_own_stack)
{
    static char memory[65536];
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
    skip_under_tsan(__func__);
    weft_patch();
    ck_assert_int_eq(sigaltstack(&(stack_t){.ss_sp = memory, .ss_size = sizeof(memory)}, NULL), 0);
    ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
    turns = 0;
    side_by_side(be_interrupted, count_turns, NULL);
    ck_assert_int_eq(turns, 4);
    ck_assert_int_eq(sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL), 0);
}
END_TEST

static weft_value vfork_one(weft_value data)
{
    int status;
    pid_t child = vfork();
    if (child == 0) {
        usleep(1000);
        _exit(turns == 0 && weft_flow_here() == WEFT_FLOW_NONE ? 7 : 1);
    }
    ck_assert_int_eq(turns, 0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(WEXITSTATUS(status), 7);
    return nothing(data);
}

START_TEST(a_child_of_vfork)
{
    if (fixture_copies())
        fixture_skip("vfork copies the memory here");
    skip_under_tsan(__func__);
    weft_patch();
    turns = 0;
    side_by_side(vfork_one, count_turns, NULL);
}
END_TEST

static weft_value fork_one(weft_value data)
{
    int status = 0, ends[2];
    (void)data;
    ck_assert_int_eq(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) { /* the only flow there is */
        char text[8];
        usleep(1000);
        close(ends[1]);
        _exit(read(ends[0], text, 8) == 0 ? 7 : 1);
    }
    pair_close(ends);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(WEXITSTATUS(status), 7);
    return weft_none;
}

START_TEST(a_forked_child)
{
    int ends[2];
    weft_patch();
    ck_assert_int_eq(pipe(ends), 0);
    weft_task *waits = spawn(read_five, ends);
    alone(fork_one, NULL);
    write_five(weft_ptr(ends));
    end(waits);
    pair_close(ends);
}
END_TEST

/* Many. */

enum { MANY = 200 };
static int waiting, waiting_most;

static weft_value echo(weft_value data)
{
    const int *ends = weft_as_ptr(data);
    char text[8];
    for (int i = 0; i < 5; i++) {
        waiting++;
        waiting_most = waiting > waiting_most ? waiting : waiting_most;
        ck_assert_int_eq(read(ends[0], text, 5), 5);
        waiting--;
        ck_assert_int_eq(write(ends[0], text, 5), 5);
    }
    return weft_none;
}

static weft_value serve_many(weft_value data)
{
    int(*ends)[2] = weft_as_ptr(data);
    char text[8];
    while (waiting < MANY)
        weft_yield();
    for (int round = 0; round < 5; round++)
        for (int i = MANY - 1; i >= 0; i--) {
            write_five(weft_ptr(ends[i]));
            ck_assert_int_eq(read(ends[i][1], text, 5), 5);
        }
    return weft_none;
}

START_TEST(many_at_once)
{
    static int ends[MANY][2];
    weft_task *tasks[MANY];
    weft_patch();
    for (int i = 0; i < MANY; i++) {
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends[i]), 0);
        tasks[i] = spawn(echo, ends[i]);
    }
    alone(serve_many, ends);
    for (int i = 0; i < MANY; i++) {
        end(tasks[i]);
        pair_close(ends[i]);
    }
    ck_assert_int_eq(waiting_most, MANY);
}
END_TEST

/*
 * A storm: three threads of coroutines. Of each pair of sockets one thread reads, another writes, the third closes what is read from, at
 * any moment; then the reader makes a new pair of the same numbers. The numbers are high, so that nothing else in the process is given one
 * that is free for a moment.
 */
enum { STORM_THREADS = 3, STORM_PAIRS = 6, STORM_CLOSINGS = 15, STORM_NUMBERS = 400 };

static struct storm_pair {
    int numbers[2];
    uint32_t closings; /* how often it was closed; even: it is open again */
} storm_pairs[STORM_PAIRS];
static pthread_mutex_t storm_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t storm_changed = PTHREAD_COND_INITIALIZER;
static int storm_ended, storm_cancelled;

static uint32_t storm_random(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

static void pair_renew(struct storm_pair *pair)
{
    int ends[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(
            dup2(ends[i], pair->numbers[i]), pair->numbers[i]); /* over the one that is written to, of whom somebody may be waiting */
        close(ends[i]);
    }
}

/* One read, in one of the ways there are. */
static ssize_t storm_read(int fd, uint32_t *state)
{
    char octets[16];
    struct pollfd asked = {.fd = fd, .events = POLLIN};
    struct timeval span = {.tv_usec = 300};
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    switch (storm_random(state) % 4) {
    case 0:
        return recv(fd, octets, sizeof(octets), 0);
    case 1:
        poll(&asked, 1, 1);
        return asked.revents & POLLNVAL ? read(fd, octets, 1) : 1;
    case 2:
        return select(fd + 1, &set, NULL, NULL, &span) < 0 ? -1 : 1;
    default:
        return read(fd, octets, sizeof(octets));
    }
}

static weft_value storm_reader(weft_value number)
{
    struct storm_pair *pair = &storm_pairs[weft_as_int(number)];
    uint32_t state = (uint32_t)weft_as_int(number) + 1;
    for (int closings = 0; closings < STORM_CLOSINGS;) {
        ssize_t got = storm_read(pair->numbers[0], &state);
        if (got > 0)
            continue;
        ck_assert_msg(got < 0 && (errno == EBADF || errno == ECONNRESET), "%d", errno);
        if (__atomic_load_n(&pair->closings, __ATOMIC_ACQUIRE) % 2 == 0)
            continue; /* it is about to be closed */
        pair_renew(pair);
        closings++;
        __atomic_add_fetch(&pair->closings, 1, __ATOMIC_RELEASE);
    }
    shutdown(pair->numbers[0], SHUT_RDWR); /* nobody reads any more, and a send that waits for room would wait for ever */
    pthread_mutex_lock(&storm_mutex);
    storm_ended++;
    pthread_cond_broadcast(&storm_changed);
    pthread_mutex_unlock(&storm_mutex);
    return weft_none;
}

static bool storm_over(void)
{
    pthread_mutex_lock(&storm_mutex);
    bool over = storm_ended == STORM_PAIRS;
    pthread_mutex_unlock(&storm_mutex);
    return over;
}

static weft_value storm_writer(weft_value number)
{
    struct storm_pair *pair = &storm_pairs[weft_as_int(number)];
    uint32_t state = (uint32_t)weft_as_int(number) + 100;
    while (!storm_over()) {
        ssize_t sent = send(pair->numbers[1], "xxxxxxxxxxxxxxxx", 1 + storm_random(&state) % 16, MSG_NOSIGNAL);
        struct timespec span = {.tv_nsec = sent < 0 ? 200000 : 20000};
        nanosleep(&span, NULL);
    }
    return weft_none;
}

static weft_value storm_closer(weft_value number)
{
    struct storm_pair *pair = &storm_pairs[weft_as_int(number)];
    uint32_t state = (uint32_t)weft_as_int(number) + 200;
    for (int closings = 0; closings < STORM_CLOSINGS; closings++) {
        usleep(storm_random(&state) % 1000);
        close(pair->numbers[0]);
        __atomic_add_fetch(&pair->closings, 1, __ATOMIC_RELEASE);
        while (__atomic_load_n(&pair->closings, __ATOMIC_ACQUIRE) % 2 == 1)
            usleep(100);
    }
    return weft_none;
}

/* Waits in a call that is cancelled. */
static weft_value storm_victim(weft_value data)
{
    int ends[2];
    char octet;
    struct pollfd asked;
    (void)data;
    ck_assert_int_eq(pipe(ends), 0);
    asked = (struct pollfd){.fd = ends[0], .events = POLLIN};
    while (read(ends[0], &octet, 1) >= 0 || poll(&asked, 1, -1) >= 0)
        ck_abort_msg("nothing was written");
    ck_assert_int_eq(errno, ECANCELED);
    close(ends[0]);
    close(ends[1]);
    pthread_mutex_lock(&storm_mutex);
    storm_cancelled++;
    pthread_mutex_unlock(&storm_mutex);
    return weft_none;
}

static weft_value storm_watcher(weft_value none)
{
    pthread_mutex_lock(&storm_mutex);
    while (storm_ended < STORM_PAIRS)
        pthread_cond_wait(&storm_changed, &storm_mutex);
    pthread_mutex_unlock(&storm_mutex);
    return none;
}

static weft_value storm_thread(weft_value number)
{
    static weft_function *const roles[STORM_THREADS] = {storm_reader, storm_writer, storm_closer};
    weft_task *tasks[STORM_PAIRS], *watcher = spawn(storm_watcher, NULL);
    for (int i = 0; i < STORM_PAIRS; i++)
        tasks[i] = weft_spawn(WEFT_COROUTINE, roles[(weft_as_int(number) + i) % STORM_THREADS], weft_int(i));
    while (!storm_over()) {
        weft_task *victim = spawn(storm_victim, NULL);
        weft_sleep(0.0005);
        weft_task_cancel(victim);
        end(victim);
    }
    for (int i = 0; i < STORM_PAIRS; i++)
        end(tasks[i]);
    end(watcher);
    return weft_none;
}

START_TEST(a_storm_of_closings_and_cancellations)
{
    weft_task *threads[STORM_THREADS];
    skip_under_tsan(__func__);
    weft_patch();
    for (int i = 0; i < STORM_PAIRS; i++) {
        storm_pairs[i].numbers[0] = STORM_NUMBERS + 2 * i;
        storm_pairs[i].numbers[1] = STORM_NUMBERS + 2 * i + 1;
        pair_renew(&storm_pairs[i]);
    }
    for (int i = 0; i < STORM_THREADS; i++)
        threads[i] = weft_spawn(WEFT_THREAD, storm_thread, weft_int(i));
    for (int i = 0; i < STORM_THREADS; i++)
        end(threads[i]);
    ck_assert_int_eq(storm_ended, STORM_PAIRS);
    ck_assert_int_gt(storm_cancelled, 0);
    for (int i = 0; i < STORM_PAIRS; i++)
        pair_close(storm_pairs[i].numbers);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, before_weft_patch_nothing_changes);
    tcase_add_test(tests, a_read_waits_for_a_write);
    tcase_add_test(tests, what_is_neither_socket_nor_pipe);
    tcase_add_test(tests, a_write_writes_all);
    tcase_add_test(tests, a_write_that_is_cut_short);
    tcase_add_test(tests, msg_waitall);
    tcase_add_test(tests, datagrams);
    tcase_add_test(tests, what_does_not_wait);
    tcase_add_test(tests, connections);
    tcase_add_test(tests, polling);
    tcase_add_test(tests, no_signal_interrupts);
    tcase_add_test(tests, rare_names_and_unpatched_ones);
    tcase_add_test(tests, sleeps);
    tcase_add_test(tests, children);
    tcase_add_test(tests, threads_and_names);
    tcase_add_test(tests, a_mutex_is_one_coroutine_s);
    tcase_add_test(tests, a_mutex_of_the_thread_itself);
    tcase_add_test(tests, conditions);
    tcase_add_test(tests, close_ends_who_waits);
    tcase_add_test(tests, other_ways_to_close_end_who_waits);
    tcase_add_test(tests, what_weft_opened_may_be_closed);
    tcase_add_test(tests, cancellation_and_deadlines);
    tcase_add_test(tests, a_signal_handler_on_its_own_stack);
    tcase_add_test(tests, a_child_of_vfork);
    tcase_add_test(tests, a_forked_child);
    tcase_add_test(tests, many_at_once);
    tcase_add_test(tests, a_storm_of_closings_and_cancellations);
}

int main(void)
{
    return fixture_main("patch", add);
}
