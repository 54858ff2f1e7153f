/* SPDX-License-Identifier: MIT */
/*
 * Four processes count in a dictionary of a manager. d["n"] += 1 through a proxy is two calls, and loses what others add in between; "incr"
 * is one. So the total is exact.
 */
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

static const char key[] = "abc";

static weft_value count(weft_value address)
{
    weft_remote *remote = weft_manager_connect(weft_as_str(address), weft_in(10), .key = key, .key_length = 3);
    weft_proxy *dict = weft_proxy_new(remote, "get_dict", weft_in(10));
    weft_value name = weft_str("n"), arguments = weft_tuple(&name, 1);
    for (int i = 0; i < 1000; i++)
        weft_proxy_call(dict, "incr", NULL, weft_in(10), .arguments = arguments);
    weft_drop(arguments);
    weft_proxy_free(dict);
    weft_remote_free(remote);
    return weft_none;
}

int main(void)
{
    weft_manager *manager = weft_manager_new("127.0.0.1:0", .key = key, .key_length = 3);
    if (!manager || weft_manager_register(manager, "get_dict", .standard = "dict", .single = true) != 0 ||
        weft_manager_start(manager) != 0) {
        perror("manager");
        return EXIT_FAILURE;
    }
    weft_task *tasks[4];
    for (int i = 0; i < 4; i++)
        tasks[i] = weft_spawn(WEFT_PROCESS, count, weft_str(weft_manager_address(manager)));
    for (int i = 0; i < 4; i++) {
        weft_task_join(tasks[i], WEFT_FOREVER);
        weft_task_free(tasks[i]);
    }
    weft_remote *remote = weft_manager_connect(weft_manager_address(manager), weft_in(10), .key = key, .key_length = 3);
    weft_proxy *dict = weft_proxy_new(remote, "get_dict", weft_in(10));
    weft_value name = weft_str("n"), arguments = weft_tuple(&name, 1), total = weft_none;
    weft_proxy_call(dict, "get", &total, weft_in(10), .arguments = arguments);
    printf("total: %lld\n", (long long)weft_as_int(total));
    weft_drop(arguments);
    weft_proxy_free(dict);
    weft_remote_free(remote);
    weft_manager_free(manager);
    return EXIT_SUCCESS;
}
