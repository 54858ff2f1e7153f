/* SPDX-License-Identifier: MIT */
/*
 * Python's pickles, written and read: "codec-bytes", one value of bytes (16 MiB), in ns for each KiB; "codec-ints", a list of 100,000
 * numbers below 256, and "codec-tuples", one of 100,000 tuples of a number, a short text and a float, in ns for each item. The variants
 * "dump" and "load" do one of the two only.
 */
#include <weft.h>

#include "bench.h"

enum { ITEMS = 100000, OCTETS = 16 << 20 };

static weft_value bytes(void)
{
    char *octets = malloc(OCTETS);
    bench_need(octets != NULL, "malloc");
    memset(octets, 'x', OCTETS);
    weft_value made = weft_bytes(octets, OCTETS);
    free(octets);
    return made;
}

static weft_value ints(void)
{
    weft_value list = weft_list();
    for (int i = 0; i < ITEMS; i++)
        weft_list_append(list, weft_int(i % 256));
    return list;
}

static weft_value tuples(void)
{
    weft_value list = weft_list();
    for (int i = 0; i < ITEMS; i++) {
        weft_value parts[] = {weft_int(i), weft_str_f("item %d", i), weft_float(i * 0.5)};
        weft_list_append(list, weft_tuple(parts, 3));
    }
    return list;
}

/* Seconds of this process's processor: nothing here waits for anybody. */
static double used(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Those of the quickest of so many. */
static double dump(weft_value value, long times)
{
    double best = 1e9;
    for (long i = 0; i < times; i++) {
        weft_value octets;
        double start = used();
        bench_need(weft_pickle_dump(value, &octets, NULL) == 0, "weft_pickle_dump");
        weft_drop(octets);
        double took = used() - start;
        best = took < best ? took : best;
    }
    return best;
}

static double load(weft_value value, long times)
{
    double best = 1e9;
    weft_value octets;
    bench_need(weft_pickle_dump(value, &octets, NULL) == 0, "weft_pickle_dump");
    for (long i = 0; i < times; i++) {
        weft_value made;
        double start = used();
        bench_need(weft_pickle_load(weft_as_bytes(octets), weft_length(octets), &made, NULL) == 0, "weft_pickle_load");
        weft_drop(made);
        double took = used() - start;
        best = took < best ? took : best;
    }
    weft_drop(octets);
    return best;
}

static double measure(weft_value value, long times, const char *variant, double items)
{
    double took = (strcmp(variant, "load") ? dump(value, times) : 0) + (strcmp(variant, "dump") ? load(value, times) : 0);
    weft_drop(value);
    return took / items * 1e9;
}

static double codec_bytes(long iterations, const char *variant)
{
    return measure(bytes(), iterations, variant, OCTETS / 1024.0);
}

static double codec_ints(long iterations, const char *variant)
{
    return measure(ints(), iterations, variant, ITEMS);
}

static double codec_tuples(long iterations, const char *variant)
{
    return measure(tuples(), iterations, variant, ITEMS);
}

int main(int argc, char **argv)
{
    static const struct bench_row rows[] = {
        {"codec-bytes", codec_bytes}, {"codec-ints", codec_ints}, {"codec-tuples", codec_tuples}, {NULL, NULL}};
    return bench_main(argc, argv, rows);
}
