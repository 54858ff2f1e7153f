/* SPDX-License-Identifier: MIT */
/*
 * A master and its worker, who meet at two queues of a manager: the master puts ten numbers, the worker squares them. Both could be on
 * other machines, and either could be Python's: this master serves QueueManager.register("get_task_queue"), this worker would work for a
 * Python master.
 */
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

static const char key[] = "abc";

/* What the worker on the other machine does. */
static weft_value work(weft_value address)
{
    weft_remote *remote = weft_manager_connect(weft_as_str(address), weft_in(10), .key = key, .key_length = 3);
    weft_proxy *tasks = weft_proxy_new(remote, "get_task_queue", weft_in(10)),
               *results = weft_proxy_new(remote, "get_result_queue", weft_in(10));
    weft_queue *task = weft_queue_of_proxy(tasks), *result = weft_queue_of_proxy(results);
    weft_value n;
    for (int i = 0; i < 10 && weft_queue_get(task, &n, weft_in(10)) == 0; i++) {
        long long number = weft_as_int(n);
        weft_queue_put(result, weft_str_f("%lld * %lld = %lld", number, number, number * number), weft_in(10));
    }
    weft_queue_free(task), weft_queue_free(result);
    weft_proxy_free(tasks), weft_proxy_free(results);
    weft_remote_free(remote);
    return weft_none;
}

static weft_value serve(weft_value manager)
{
    weft_manager_serve(weft_as_ptr(manager));
    return weft_none;
}

int main(void)
{
    weft_queue *tasks = weft_queue_new(), *results = weft_queue_new();
    weft_manager *manager = weft_manager_new("127.0.0.1:0", .key = key, .key_length = 3);
    if (!manager || weft_manager_register(manager, "get_task_queue", .queue = tasks) != 0 ||
        weft_manager_register(manager, "get_result_queue", .queue = results) != 0) {
        perror("manager");
        return EXIT_FAILURE;
    }
    weft_task *worker = weft_spawn(WEFT_PROCESS, work, weft_str(weft_manager_address(manager)), .name = "worker");
    weft_task *server = weft_spawn(WEFT_COROUTINE, serve, weft_ptr(manager)); /* runs whenever this thread waits */
    for (int i = 0; i < 10; i++)
        weft_queue_put(tasks, weft_int(i * 7), WEFT_FOREVER);
    for (int i = 0; i < 10; i++) {
        weft_value r;
        if (weft_queue_get(results, &r, weft_in(10)) != 0)
            break;
        puts(weft_as_str(r));
        weft_drop(r);
    }
    weft_task_join(worker, WEFT_FOREVER);
    weft_manager_shutdown(manager);
    weft_task_join(server, WEFT_FOREVER);
    weft_task_free(worker), weft_task_free(server);
    weft_manager_free(manager);
    weft_queue_free(tasks), weft_queue_free(results);
    return EXIT_SUCCESS;
}
