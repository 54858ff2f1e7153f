/* SPDX-License-Identifier: MIT */
/*
 * A crawler in four ways: threads that fetch and parse; threads that fetch, with a callback that parses; processes that fetch, with the
 * callback in the process that asked; and coroutines, all on one thread, whose blocking calls libweft-patch lets wait side by side. What
 * fetches is the same function each time, and knows of none of this.
 *
 * The pages are served by a thread of this program: page n links to 2n and 2n + 1.
 */
#include <arpa/inet.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weft.h>

enum { PAGES = 31, WORKERS = 4, FRESH = 4096 };

static struct sockaddr_in server_address;
static atomic_int parsed, links;

/* The server: a connection a page. */

static void page_serve(int fd)
{
    char text[512] = "";
    int page = 0;
    ssize_t got = recv(fd, text, sizeof(text) - 1, 0);
    if (got > 0 && sscanf(text, "GET /%d ", &page) == 1) {
        usleep(2000); /* it has to look for it */
        int length = page * 2 > PAGES
                         ? snprintf(text, sizeof(text), "HTTP/1.0 200 OK\r\n\r\nno links\n")
                         : snprintf(text, sizeof(text), "HTTP/1.0 200 OK\r\n\r\n<a href=/%d> <a href=/%d>\n", page * 2, page * 2 + 1);
        send(fd, text, (size_t)length, MSG_NOSIGNAL);
    }
    close(fd);
}

static weft_value server_main(weft_value listener)
{
    for (int fd; (fd = accept((int)weft_as_int(listener), NULL, NULL)) >= 0;)
        page_serve(fd);
    return weft_none;
}

static int server_start(void)
{
    socklen_t length = sizeof(server_address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    server_address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(listener, (struct sockaddr *)&server_address, length) != 0 || listen(listener, 128) != 0 ||
        getsockname(listener, (struct sockaddr *)&server_address, &length) != 0)
        return -1;
    return listener;
}

/* What the crawler does. */

/* Fetches a page by blocking calls, as any library would: address and number in, text out. */
static weft_value fetch(weft_value job)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char text[FRESH];
    size_t length = 0;
    ssize_t got = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_port = (in_port_t)weft_as_int(weft_list_at(job, 0));
    snprintf(text, sizeof(text), "GET /%d HTTP/1.0\r\n\r\n", (int)weft_as_int(weft_list_at(job, 1)));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || write(fd, text, strlen(text)) < 0)
        got = 0;
    while (got > 0 && length < sizeof(text) - 1) {
        got = read(fd, text + length, sizeof(text) - 1 - length);
        length += got > 0 ? (size_t)got : 0;
    }
    text[length] = 0;
    close(fd);
    return weft_str(text);
}

/* Counts the links. */
static void parse(const char *text)
{
    for (const char *link = text; (link = strstr(link, "<a href=")); link++)
        links++;
    parsed++;
}

static weft_value job_of(int page)
{
    weft_value job = weft_list();
    weft_list_append(job, weft_int(server_address.sin_port));
    weft_list_append(job, weft_int(page));
    return job;
}

static weft_value fetch_and_parse(weft_value job)
{
    weft_value page = fetch(job);
    parse(weft_as_str(page));
    weft_drop(page);
    return weft_none;
}

static atomic_int parser; /* the process in which the last page was parsed */

static int parse_result(weft_future *future, void *data)
{
    weft_value page;
    if (weft_future_result(future, &page, WEFT_NOW) != 0)
        return -1;
    parse(weft_as_str(page));
    weft_drop(page);
    *(atomic_int *)data = getpid();
    return 0;
}

static void report(const char *way)
{
    printf("%s: %d pages, %d links\n", way, parsed, links);
    parsed = links = 0;
}

/* A pool of some kind, to which all pages are given. */
static int crawl(const char *way, enum weft_task_kind kind, weft_function *function, bool calls_back)
{
    weft_pool *pool = weft_pool_new(kind, .workers = WORKERS);
    if (!pool)
        return -1;
    for (int page = 1; page <= PAGES; page++) {
        weft_value job = job_of(page);
        int started = calls_back ? weft_pool_start(pool, function, job, .on_done = parse_result, .data = &parser)
                                 : weft_pool_start(pool, function, job);
        if (started != 0)
            return -1;
    }
    weft_pool_free(pool); /* waits for all of them, and their callbacks */
    report(way);
    return 0;
}

int main(void)
{
    int listener = server_start();
    if (listener < 0) {
        perror("server");
        return EXIT_FAILURE;
    }
    /* Processes come first: their family begins while there are no threads. The pages wait in the listener until the server has started. */
    weft_pool *family = weft_pool_new(WEFT_PROCESS, .workers = WORKERS);
    weft_pool_free(family);
    weft_task *server = weft_spawn(WEFT_THREAD, server_main, weft_int(listener), .daemon = true);
    if (!family || !server || crawl("threads that fetch and parse", WEFT_THREAD, fetch_and_parse, false) != 0 ||
        crawl("threads, and a callback that parses", WEFT_THREAD, fetch, true) != 0 ||
        crawl("processes, and a callback that parses", WEFT_PROCESS, fetch, true) != 0) {
        perror("crawler");
        return EXIT_FAILURE;
    }
    fprintf(stderr, "the callback of the processes ran in pid %d\n", (int)parser);
    printf("the callback of the processes ran in the process that asked: %s\n", parser == getpid() ? "yes" : "no");

    weft_patch();
    weft_task *fetchers[PAGES];
    for (int page = 1; page <= PAGES; page++)
        fetchers[page - 1] = weft_spawn(WEFT_COROUTINE, fetch_and_parse, job_of(page));
    for (int i = 0; i < PAGES; i++) {
        weft_task_join(fetchers[i], WEFT_FOREVER);
        weft_task_free(fetchers[i]);
    }
    report("coroutines of one thread");
    shutdown(listener, SHUT_RDWR);
    weft_task_join(server, WEFT_FOREVER);
    weft_task_free(server);
    close(listener);
    return EXIT_SUCCESS;
}
