/* SPDX-License-Identifier: MIT */
/*
 * Four readers, each of a pipe whose other end sends a line now and then: what they do most is wait. One after another they wait in turn;
 * as threads they wait at the same time, on however few processors.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <weft.h>

enum { READERS = 4, LINES = 10 };

/* A source that takes its time. */
static weft_value send_slowly(weft_value descriptor)
{
    int to = (int)weft_as_int(descriptor);
    for (int i = 0; i < LINES; i++) {
        weft_sleep(0.01);
        if (write(to, "a line\n", 7) != 7)
            break;
    }
    close(to);
    return weft_none;
}

static int64_t read_to_end(int from)
{
    char buffer[100];
    int64_t length = 0;
    for (ssize_t got; (got = read(from, buffer, sizeof(buffer))) > 0;)
        length += got;
    return length;
}

/* Reads a source to its end; how much that was. */
static weft_value read_source(weft_value unused)
{
    (void)unused;
    int ends[2];
    if (pipe(ends) != 0)
        return weft_error(errno, "pipe");
    weft_task *source = weft_spawn(WEFT_THREAD, send_slowly, weft_int(ends[1]));
    if (!source)
        close(ends[1]);
    int64_t length = read_to_end(ends[0]);
    close(ends[0]);
    weft_task_free(source);
    return weft_int(length);
}

static int64_t read_in_turn(void)
{
    int64_t sum = 0;
    for (int i = 0; i < READERS; i++)
        sum += weft_as_int(read_source(weft_none));
    return sum;
}

static int64_t read_as_threads(void)
{
    weft_task *readers[READERS];
    int64_t sum = 0;
    for (int i = 0; i < READERS; i++)
        readers[i] = weft_spawn(WEFT_THREAD, read_source, weft_none);
    for (int i = 0; i < READERS; i++) {
        weft_value length = weft_none;
        if (readers[i] && weft_task_result(readers[i], &length, WEFT_FOREVER) == 0)
            sum += weft_as_int(length);
        weft_drop(length);
        weft_task_free(readers[i]);
    }
    return sum;
}

static double measure(const char *how, int64_t (*reading)(void))
{
    weft_time start = weft_clock();
    printf("%s: %lld octets\n", how, (long long)reading());
    return (double)(weft_clock() - start) / 1e9;
}

int main(void)
{
    double in_turn = measure("one after another", read_in_turn);
    double as_threads = measure("as threads", read_as_threads);
    printf("as threads at least twice as fast: %s\n", as_threads * 2 <= in_turn ? "yes" : "no");
    return EXIT_SUCCESS;
}
