/* SPDX-License-Identifier: MIT */
/*
 * One function and many arguments: results in the order of the arguments while the rest is still being worked on, results as they come,
 * functions of several arguments, and futures in the order in which they end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

static weft_value square(weft_value number)
{
    return weft_int(weft_as_int(number) * weft_as_int(number));
}

static weft_value power(const weft_value *arguments, size_t count)
{
    int64_t result = 1;
    for (int64_t i = 0; count == 2 && i < weft_as_int(arguments[1]); i++)
        result *= weft_as_int(arguments[0]);
    return weft_int(result);
}

static weft_event red, green, blue;

static weft_value run_when(weft_value light)
{
    weft_event_wait(weft_as_ptr(light), WEFT_FOREVER);
    return weft_str(weft_as_ptr(light) == &red ? "red" : weft_as_ptr(light) == &green ? "green" : "blue");
}

/* for x in pool.imap(square, range(10), chunksize=3): print(x) */
static void in_order(weft_pool *pool, weft_value numbers)
{
    weft_value value;
    weft_results *results = weft_pool_imap(pool, square, numbers, .chunk = 3);
    for (const char *space = ""; results && weft_results_next(results, &value, WEFT_FOREVER) == 0; space = " ")
        printf("%s%lld", space, (long long)weft_as_int(value));
    putchar('\n');
    weft_results_free(results);
}

/* sum(pool.imap_unordered(square, range(10))) */
static void as_they_come(weft_pool *pool, weft_value numbers)
{
    int64_t sum = 0;
    weft_value value;
    weft_results *results = weft_pool_imap_unordered(pool, square, numbers);
    while (results && weft_results_next(results, &value, WEFT_FOREVER) == 0)
        sum += weft_as_int(value);
    printf("all together %lld\n", (long long)sum);
    weft_results_free(results);
}

/* pool.starmap(power, [(2, 5), (3, 2)]) */
static void several_arguments(weft_pool *pool)
{
    weft_value pairs = weft_list(), powers;
    weft_list_append(pairs, weft_tuple((weft_value[]){weft_int(2), weft_int(5)}, 2));
    weft_list_append(pairs, weft_tuple((weft_value[]){weft_int(3), weft_int(2)}, 2));
    char text[100];
    if (weft_pool_starmap(pool, power, pairs, &powers, WEFT_FOREVER) == 0) {
        weft_repr(powers, text, sizeof(text));
        printf("powers: %s\n", text);
        weft_drop(powers);
    }
    weft_drop(pairs);
}

/* for future in as_completed(futures): print(future.result()) */
static void first_come_first_served(weft_pool *pool)
{
    weft_event *lights[] = {&red, &green, &blue}, *order[] = {&blue, &red, &green};
    weft_future *futures[3];
    for (int i = 0; i < 3; i++)
        futures[i] = weft_pool_submit(pool, run_when, weft_ptr(lights[i]));
    weft_completed *completed = weft_as_completed(futures, 3);
    for (int turn = 0; completed && turn < 3; turn++) {
        weft_event_set(order[turn]);
        long i = weft_completed_next(completed, WEFT_FOREVER);
        weft_value colour;
        weft_future_result(futures[i], &colour, WEFT_FOREVER);
        printf("number %ld: %s\n", i, weft_as_str(colour));
        weft_drop(colour);
    }
    weft_completed_free(completed);
    for (int i = 0; i < 3; i++)
        weft_future_free(futures[i]);
}

int main(void)
{
    weft_pool *pool = weft_pool_new(WEFT_THREAD, .workers = 3);
    weft_value numbers = weft_list();
    for (int i = 0; i < 10; i++)
        weft_list_append(numbers, weft_int(i));
    if (!pool) {
        perror("pool");
        return EXIT_FAILURE;
    }
    in_order(pool, numbers);
    as_they_come(pool, numbers);
    several_arguments(pool);
    first_come_first_served(pool);
    weft_drop(numbers);
    weft_pool_free(pool);
    return EXIT_SUCCESS;
}
