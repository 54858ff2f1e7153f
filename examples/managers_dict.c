/* SPDX-License-Identifier: MIT */
/* A dictionary in a manager's process, filled by ten others: each stores its own key and value. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

static const char key[] = "abc";

static weft_value fill(weft_value argument)
{
    weft_value number = weft_list_at(argument, 1), result;
    weft_remote *remote = weft_manager_connect(weft_as_str(weft_list_at(argument, 0)), weft_in(10), .key = key, .key_length = 3);
    weft_proxy *dict = weft_proxy_new(remote, "get_dict", weft_in(10));
    weft_value pair =
        weft_tuple((weft_value[]){weft_str_f("key %lld", (long long)weft_as_int(number)), weft_int(10 * weft_as_int(number))}, 2);
    int stored = weft_proxy_call(dict, "__setitem__", &result, weft_in(10), .arguments = pair);
    weft_drop(pair);
    weft_proxy_free(dict);
    weft_remote_free(remote);
    return stored == 0 ? result : weft_error(EIO, "not stored");
}

int main(void)
{
    weft_manager *manager = weft_manager_new("127.0.0.1:0", .key = key, .key_length = 3);
    if (!manager || weft_manager_register(manager, "get_dict", .standard = "dict", .single = true) != 0 ||
        weft_manager_start(manager) != 0) {
        perror("manager");
        return EXIT_FAILURE;
    }
    const char *address = weft_manager_address(manager);
    for (int i = 0; i < 10; i++) {
        weft_value argument = weft_tuple((weft_value[]){weft_str(address), weft_int(i)}, 2);
        weft_task *task = weft_spawn(WEFT_PROCESS, fill, argument);
        weft_task_join(task, WEFT_FOREVER);
        weft_task_free(task);
    }
    weft_remote *remote = weft_manager_connect(address, weft_in(10), .key = key, .key_length = 3);
    weft_proxy *dict = weft_proxy_new(remote, "get_dict", weft_in(10));
    weft_value keys, values;
    char text[300];
    if (weft_proxy_call(dict, "keys", &keys, weft_in(10)) == 0 && weft_proxy_call(dict, "values", &values, weft_in(10)) == 0) {
        weft_repr(keys, text, sizeof(text));
        puts(text);
        weft_repr(values, text, sizeof(text));
        puts(text);
        weft_drop(keys), weft_drop(values);
    }
    weft_proxy_free(dict);
    weft_remote_free(remote);
    weft_manager_free(manager); /* and its process */
    return EXIT_SUCCESS;
}
