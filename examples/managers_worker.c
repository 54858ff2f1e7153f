/* SPDX-License-Identifier: MIT */
/* A worker in C for a program in Python: managers_tasks.py, whose queues it takes work from and puts results into. managers_worker ADDRESS
 * KEYFILE */
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

/* The hot loop that was moved to C. */
static int64_t primes_below(int64_t limit)
{
    int64_t count = 0;
    for (int64_t n = 2; n < limit; n++) {
        int64_t divisor = 2;
        while (divisor * divisor <= n && n % divisor)
            divisor++;
        count += divisor * divisor > n;
    }
    return count;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: managers_worker ADDRESS KEYFILE\n");
        return EXIT_FAILURE;
    }
    weft_remote *remote = weft_manager_connect(argv[1], weft_in(10), .key_file = argv[2]);
    weft_proxy *tasks = remote ? weft_proxy_new(remote, "get_task_queue", weft_in(10)) : NULL;
    weft_proxy *results = tasks ? weft_proxy_new(remote, "get_result_queue", weft_in(10)) : NULL;
    if (!results) {
        perror(argv[1]);
        return EXIT_FAILURE;
    }
    weft_queue *task = weft_queue_of_proxy(tasks), *result = weft_queue_of_proxy(results);
    weft_value item;
    while (weft_queue_get(task, &item, weft_in(5)) == 0 && !weft_is_none(item)) {
        weft_value answer = weft_tuple((weft_value[]){item, weft_int(primes_below(weft_as_int(item)))}, 2);
        weft_queue_put(result, answer, weft_in(5));
    }
    weft_queue_free(task), weft_queue_free(result);
    weft_proxy_free(tasks), weft_proxy_free(results);
    weft_remote_free(remote);
    return EXIT_SUCCESS;
}
