// SPDX-License-Identifier: MIT
// boost.context's bare switch.
#include <boost/context/detail/fcontext.hpp>

#include "../bench.h"

namespace context = boost::context::detail;

static void other(context::transfer_t from)
{
    for (;;)
        from = context::jump_fcontext(from.fctx, nullptr);
}

static double switches(long iterations, const char *)
{
    alignas(16) static char stack[65536];
    context::fcontext_t there = context::make_fcontext(stack + sizeof(stack), sizeof(stack), other);
    double start = bench_clock();
    for (long i = 0; i < iterations; i += 2)
        there = context::jump_fcontext(there, nullptr).fctx;
    return (bench_clock() - start) / static_cast<double>(iterations) * 1e9;
}

int main(int argc, char **argv)
{
    static const bench_row rows[] = {{"coroutine-switch", switches}, {nullptr, nullptr}};
    return bench_main(argc, argv, rows);
}
