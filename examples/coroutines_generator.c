/* SPDX-License-Identifier: MIT */
/*
 * A generator: a function that yields one value after another, and stands still until the next is asked for. It is a coroutine that puts
 * its values into a queue without room. Who has had enough closes the queue, and the generator's next put says so; one that has come to its
 * end closes it, too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

struct generator {
    weft_queue *values;
    weft_task *task;
};

static struct generator generator_start(weft_function *function)
{
    struct generator made = {.values = weft_queue_new(.capacity = WEFT_RENDEZVOUS)};
    if (made.values)
        made.task = weft_spawn(WEFT_COROUTINE, function, weft_ptr(made.values));
    if (!made.task)
        exit(EXIT_FAILURE);
    return made;
}

static void generator_end(struct generator *generator)
{
    weft_queue_close(generator->values);
    weft_task_join(generator->task, WEFT_FOREVER);
    weft_task_free(generator->task);
    weft_queue_free(generator->values);
}

/* The Fibonacci numbers, without an end. */
static weft_value fibonacci(weft_value values)
{
    int64_t number = 0, next = 1;
    while (weft_queue_put(weft_as_ptr(values), weft_int(number), WEFT_FOREVER) == 0) {
        int64_t sum = number + next;
        number = next;
        next = sum;
    }
    printf("nobody wants %lld any more\n", (long long)number);
    return weft_none;
}

static void walk(weft_queue *values, int low, int high)
{
    if (low > high)
        return;
    int middle = (low + high) / 2;
    walk(values, low, middle - 1);
    weft_queue_put(values, weft_int(middle), WEFT_FOREVER);
    walk(values, middle + 1, high);
}

/* A walk through a tree, left to right: it stands still in the midst of a recursion. */
static weft_value tree(weft_value values)
{
    walk(weft_as_ptr(values), 1, 7);
    weft_queue_close(weft_as_ptr(values));
    return weft_none;
}

int main(void)
{
    weft_value value;
    struct generator numbers = generator_start(fibonacci), nodes = generator_start(tree);
    for (int i = 0; i < 10 && weft_queue_get(numbers.values, &value, WEFT_FOREVER) == 0; i++)
        printf("%lld ", (long long)weft_as_int(value));
    putchar('\n');
    generator_end(&numbers);
    while (weft_queue_get(nodes.values, &value, WEFT_FOREVER) == 0)
        printf("%lld ", (long long)weft_as_int(value));
    printf("and no more\n");
    generator_end(&nodes);
    return EXIT_SUCCESS;
}
