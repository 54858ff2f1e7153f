/* SPDX-License-Identifier: MIT */
/* A C++ program that knows an installed Weft only: by the plain forms, and by weft.hpp. */
#include <cstdio>
#include <cstring>
#include <mutex>
#include <weft.hpp>

static weft_value square(weft_value n)
{
    return weft_int(weft_as_int(n) * weft_as_int(n));
}

/* By the plain forms. */
static int square_of_twelve()
{
    weft_spawn_options options{};
    options.size = sizeof options;
    options.kind = WEFT_THREAD;
    options.function = square;
    options.argument = weft_int(12);
    weft_task *task = weft_spawn_with(&options);
    weft_value result;
    if (!task || weft_task_result(task, &result, weft_in(30)) != 0)
        return -1;
    weft_task_free(task);
    return static_cast<int>(weft_as_int(result));
}

int main()
{
    weft::mutex mutex;
    weft::queue queue;
    weft::pool pool(1U);
    auto future = pool.submit([&] {
        std::lock_guard held(mutex);
        return queue.put("twelve");
    });
    if (!future.get() || queue.get()->as_str() != "twelve")
        return 1;
    std::printf("%s %d\n", weft_version(), square_of_twelve());
    return std::strcmp(weft_version(), WEFT_VERSION) != 0;
}
