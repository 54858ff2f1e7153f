/* SPDX-License-Identifier: MIT */
/*
 * Weft's commands: /bin/true started and waited for, captured, and 64 MiB sent through cat. VARIANT of command-wait: "limit" (a time limit,
 * so a stopper beside each command), "ends" (a command that ends with its host).
 */
#include <sys/mman.h>
#include <weft.h>

#include "bench.h"

enum { CAT_LENGTH = 64 << 20 };

static weft_command *start(const char *const *argv, const char *variant)
{
    if (strcmp(variant, "limit") == 0)
        return weft_command_start(argv, .time_limit = 60);
    return weft_command_start(argv, .end_with_us = strcmp(variant, "ends") == 0);
}

static void wait_once(const char *variant)
{
    struct weft_command_status status;
    weft_command *command = start(weft_argv("/bin/true"), variant);
    bench_need(command != NULL, "weft_command_start");
    bench_need(weft_command_wait(command, &status, WEFT_FOREVER) == 0 && status.exitcode == 0, "weft_command_wait");
    weft_command_free(command);
}

static double start_and_wait(long iterations, const char *variant)
{
    double begin = 0;
    for (long i = -(iterations / 10 + 1); i < iterations; i++) {
        if (i == 0)
            begin = bench_clock();
        wait_once(variant);
    }
    return (bench_clock() - begin) / (double)iterations * 1e6;
}

static double start_and_wait_2g(long iterations, const char *variant)
{
    size_t length = (size_t)2 << 30;
    char *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bench_need(memory != MAP_FAILED && madvise(memory, length, MADV_NOHUGEPAGE) == 0, "mmap");
    memset(memory, 1, length);
    return start_and_wait(iterations, variant);
}

static void capture_once(void)
{
    struct weft_command_result result;
    bench_need(weft_command_run(weft_argv("/bin/true"), &result, WEFT_FOREVER) == 0, "weft_command_run");
    bench_need(result.status.exitcode == 0, "/bin/true");
    weft_drop(result.output);
    weft_drop(result.error);
}

static double capture(long iterations, const char *variant)
{
    (void)variant;
    double begin = 0;
    for (long i = -(iterations / 10 + 1); i < iterations; i++) {
        if (i == 0)
            begin = bench_clock();
        capture_once();
    }
    return (bench_clock() - begin) / (double)iterations * 1e6;
}

static void cat_once(weft_value input)
{
    weft_value output;
    weft_command *command =
        weft_command_start(weft_argv("/bin/cat"), .standard_input = {.kind = WEFT_PIPE}, .standard_output = {.kind = WEFT_PIPE});
    bench_need(command != NULL, "weft_command_start");
    bench_need(weft_command_communicate(command, input, &output, NULL, WEFT_FOREVER) == 0, "weft_command_communicate");
    bench_need(weft_length(output) == CAT_LENGTH && memcmp(weft_as_bytes(input), weft_as_bytes(output), 4096) == 0, "cat");
    weft_drop(output);
    weft_command_free(command);
}

static double cat(long iterations, const char *variant)
{
    (void)variant;
    char *octets = malloc(CAT_LENGTH);
    bench_need(octets != NULL, "malloc");
    for (size_t i = 0; i < CAT_LENGTH; i++)
        octets[i] = (char)(i % 251);
    weft_value input = weft_bytes(octets, CAT_LENGTH);
    free(octets);
    double begin = 0;
    for (long i = -1; i < iterations; i++) {
        if (i == 0)
            begin = bench_clock();
        cat_once(input);
    }
    double rate = (double)CAT_LENGTH * (double)iterations / (bench_clock() - begin) / 1e6;
    weft_drop(input);
    return rate;
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {{"command-wait", start_and_wait}, {"command-wait-2g", start_and_wait_2g},
        {"command-capture", capture}, {"command-cat", cat}, {NULL, NULL}};
    return bench_main(argc, argv, rows);
}
