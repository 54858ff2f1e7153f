/* SPDX-License-Identifier: MIT */
/*
 * Three fetches of a page from a server that takes its time, by three coroutines of one thread. They wait side by side: all of them take as
 * long as one. Then the same with a callback for each page, by a pool of coroutines.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft.h>

static const double SLOWNESS = 0.2;
static char address[64];

/* A server that knows one answer, and thinks before it gives it. */
static void page(int fd, weft_value argument)
{
    char request[1024];
    (void)argument;
    if (weft_read(fd, request, sizeof request, weft_in(10)) <= 0 || weft_sleep(SLOWNESS) != 0)
        return;
    static const char answer[] = "HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello\n";
    weft_write_all(fd, answer, strlen(answer), weft_in(10));
}

/* How many octets the page has, headers and all; or why there is none. */
static weft_value fetch(weft_value path)
{
    char text[1024];
    ssize_t got, all = 0;
    int length = snprintf(text, sizeof text, "GET %s HTTP/1.0\r\n\r\n", weft_as_str(path));
    int fd = weft_dial(address, weft_in(10));
    if (fd < 0 || weft_write_all(fd, text, (size_t)length, weft_in(10)) != 0)
        return weft_error(errno, "no page %s", weft_as_str(path));
    while ((got = weft_read(fd, text, sizeof text, weft_in(10))) > 0)
        all += got;
    weft_close(fd);
    return got == 0 ? weft_int(all) : weft_error(errno, "half a page %s", weft_as_str(path));
}

static double since(weft_time start)
{
    return (double)(weft_clock() - start) / 1e9;
}

static int print_page(weft_future *future, void *seen)
{
    weft_value octets;
    if (weft_future_result(future, &octets, WEFT_NOW) != 0)
        return -1;
    printf("called back: %lld octets\n", (long long)weft_as_int(octets));
    __atomic_add_fetch((int *)seen, 1, __ATOMIC_RELAXED);
    weft_drop(octets);
    return 0;
}

static const char *const paths[] = {"/one", "/two", "/three"};

static double fetch_and_join(void)
{
    weft_task *tasks[3];
    weft_time start = weft_clock();
    for (int i = 0; i < 3; i++)
        tasks[i] = weft_spawn(WEFT_COROUTINE, fetch, weft_str(paths[i]));
    for (int i = 0; i < 3; i++) {
        weft_value octets = weft_none;
        weft_task_result(tasks[i], &octets, WEFT_FOREVER);
        printf("%s: %lld octets\n", paths[i], (long long)weft_as_int(octets));
        weft_drop(octets);
        weft_task_free(tasks[i]);
    }
    return since(start);
}

static double fetch_with_callback(void)
{
    int seen = 0;
    weft_time start = weft_clock();
    weft_pool *pool = weft_pool_new(WEFT_COROUTINE, .workers = 3);
    for (int i = 0; i < 3; i++)
        weft_future_free(weft_pool_submit(pool, fetch, weft_str(paths[i]), .on_done = print_page, .data = &seen));
    weft_pool_free(pool); /* waits for what runs, callbacks too */
    printf("%d callbacks\n", seen);
    return since(start);
}

int main(void)
{
    int listener = weft_listen("127.0.0.1:0");
    if (listener < 0 || weft_socket_address(listener, address, sizeof address) < 0)
        return EXIT_FAILURE;
    weft_server *server = weft_serve(listener, page, .threads = 1);
    if (!server)
        return EXIT_FAILURE;
    weft_time start = weft_clock();
    weft_value path = weft_str("/");
    weft_drop(fetch(path));
    weft_drop(path);
    double one = since(start);
    double joined = fetch_and_join(), called = fetch_with_callback();
    printf("three took as long as one: %s\n", joined < 2 * one ? "yes" : "no");
    printf("with callbacks, too: %s\n", called < 2 * one ? "yes" : "no");
    weft_server_stop(server, weft_in(10));
    return EXIT_SUCCESS;
}
