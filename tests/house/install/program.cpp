/* SPDX-License-Identifier: MIT */
/* The same in C++, which uses the plain forms. */
#include <cstdio>
#include <cstring>
#include <weft.h>

static weft_value square(weft_value n)
{
    return weft_int(weft_as_int(n) * weft_as_int(n));
}

int main()
{
    weft_spawn_options options{};
    options.size = sizeof options;
    options.kind = WEFT_THREAD;
    options.function = square;
    options.argument = weft_int(12);
    weft_task *task = weft_spawn_with(&options);
    weft_value result;
    if (!task || weft_task_result(task, &result, weft_in(30)) != 0)
        return 1;
    std::printf("%s %d\n", weft_version(), static_cast<int>(weft_as_int(result)));
    weft_task_free(task);
    return std::strcmp(weft_version(), WEFT_VERSION) != 0;
}
