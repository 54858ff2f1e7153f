/* SPDX-License-Identifier: MIT */
/*
 * A program that knows nothing of Weft and makes the calls that libweft-patch stands before, in threads, in children, in handlers. What it
 * prints has to be the same with that library preloaded.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int ends[2];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int state;

/* What a call returned, and errno where it failed. */
static void told(const char *call, long result)
{
    printf("%s %ld %s\n", call, result, result < 0 ? strerrorname_np(errno) : "");
}

static void *write_later(void *data)
{
    usleep(2000);
    return writev(ends[1], &(struct iovec){data, 5}, 1) == 5 ? data : NULL;
}

static void octets(void)
{
    char text[16];
    pthread_t thread;
    void *result;
    told("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    told("recv", recv(ends[0], text, 16, MSG_DONTWAIT));
    told("pthread_create", pthread_create(&thread, NULL, write_later, "hello"));
    told("read", read(ends[0], text, 16));
    told("pthread_join", pthread_join(thread, &result));
    told("writev", result != NULL);
    told("send", send(ends[1], "hello", 5, 0));
    told("readv", readv(ends[0], &(struct iovec){text, 3}, 1));
    told("recvmsg", recvmsg(ends[0], &(struct msghdr){.msg_iov = &(struct iovec){text, 16}, .msg_iovlen = 1}, 0));
    told("dup2", dup2(ends[1], ends[0]));
    told("dup3", dup3(ends[1], ends[1], 0));
    told("close_range", close_range((unsigned)ends[0], (unsigned)ends[0], 0));
    told("close", close(ends[0]));
    told("close", close(ends[1]));
    told("write", write(ends[1], "x", 1));
}

static void connections(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    struct addrinfo *found = NULL;
    int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
    told("bind", bind(listener, (struct sockaddr *)&address, length));
    told("accept", accept(listener, NULL, NULL));
    told("listen", listen(listener, 1));
    getsockname(listener, (struct sockaddr *)&address, &length);
    told("connect", connect(client, (struct sockaddr *)&address, length));
    told("connect", connect(client, (struct sockaddr *)&address, length));
    int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    told("accept4", server > 0);
    told("getaddrinfo", getaddrinfo("127.0.0.1", "80", NULL, &found));
    freeaddrinfo(found);
    close(listener);
    close(client);
    close(server);
}

static void interrupted(int signal)
{
    state = signal;
}

static void waits(void)
{
    struct pollfd asked = {.events = POLLIN};
    struct epoll_event event = {.events = EPOLLIN};
    struct timeval span = {.tv_usec = 1000};
    struct timespec short_span = {.tv_nsec = 1000}, wrong = {.tv_nsec = -1};
    struct sigaction action = {.sa_handler = interrupted};
    fd_set set;
    told("pipe", pipe(ends));
    asked.fd = ends[0];
    told("poll", poll(&asked, 1, 1));
    FD_ZERO(&set);
    FD_SET(ends[0], &set);
    told("select", select(ends[0] + 1, &set, NULL, NULL, &span));
    int epoll = epoll_create1(0);
    epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event);
    told("epoll_wait", epoll_wait(epoll, &event, 1, 1));
    told("write", write(ends[1], "x", 1));
    told("ppoll", ppoll(&asked, 1, NULL, NULL));
    told("epoll_pwait", epoll_pwait(epoll, &event, 1, -1, NULL));
    told("nanosleep", nanosleep(&short_span, NULL));
    told("nanosleep", nanosleep(&wrong, NULL));
    told("clock_nanosleep", clock_nanosleep(CLOCK_MONOTONIC, 0, &short_span, NULL));
    sigaction(SIGALRM, &action, NULL);
    read(ends[0], &set, 1);
    ualarm(5000, 5000); /* again and again: the first may come before the call has begun */
    told("read", read(ends[0], &set, 1));
    told("usleep", usleep(10000000));
    ualarm(0, 0);
    told("a signal", state == SIGALRM);
    close(epoll);
    close(ends[0]);
    signal(SIGPIPE, SIG_IGN);
    told("write", write(ends[1], "x", 1)); /* EPIPE */
    close(ends[1]);
}

static void children(void)
{
    int status = 0;
    told("wait", wait(&status));
    pid_t child = fork();
    if (child == 0) {
        usleep(1000);
        _exit(7);
    }
    told("waitpid", waitpid(child, &status, 0) == child ? WEXITSTATUS(status) : -1);
    told("system", system("exit 3") >> 8);
}

static void *change_state(void *data)
{
    pthread_mutex_lock(&mutex);
    state = 77;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
    return data;
}

static void locks(void)
{
    struct timespec past = {0};
    pthread_t thread;
    told("trylock", pthread_mutex_trylock(&mutex));
    told("trylock", pthread_mutex_trylock(&mutex) == EBUSY);
    told("timedlock", pthread_mutex_timedlock(&mutex, &past) == ETIMEDOUT);
    told("timedwait", pthread_cond_timedwait(&changed, &mutex, &past) == ETIMEDOUT);
    pthread_create(&thread, NULL, change_state, NULL);
    while (state != 77)
        pthread_cond_wait(&changed, &mutex);
    told("unlock", pthread_mutex_unlock(&mutex));
    pthread_join(thread, NULL);
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    octets();
    connections();
    waits();
    children();
    locks();
    return 5;
}
