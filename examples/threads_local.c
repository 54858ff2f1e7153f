/* SPDX-License-Identifier: MIT */
/*
 * Task-local storage: one variable, but each thread sees the student it put there itself, however deep in its calls. The destructor frees
 * each thread's student when the thread ends.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft.h>

static weft_local student = WEFT_LOCAL(free);
static weft_barrier both_have_a_student = WEFT_BARRIER(2);

static weft_value greet(void)
{
    return weft_str_f("Hello, %s (in %s)", (const char *)weft_local_get(&student), weft_task_name(weft_current()));
}

static weft_value process_student(weft_value name)
{
    char *copy = strdup(weft_as_str(name));
    if (!copy || weft_local_set(&student, copy) != 0) {
        free(copy);
        return weft_error(ENOMEM, "no student");
    }
    weft_barrier_wait(&both_have_a_student, WEFT_FOREVER);
    return greet();
}

static void show(weft_task *task)
{
    weft_value greeting = weft_none;
    if (task && weft_task_result(task, &greeting, WEFT_FOREVER) == 0)
        printf("%s\n", weft_is_error(greeting) ? weft_error_text(greeting) : weft_as_str(greeting));
    weft_drop(greeting);
    weft_task_free(task);
}

int main(void)
{
    weft_task *first = weft_spawn(WEFT_THREAD, process_student, weft_str("Alice"), .name = "Thread-A");
    weft_task *second = weft_spawn(WEFT_THREAD, process_student, weft_str("Bob"), .name = "Thread-B");
    if (!first || !second) {
        perror("weft_spawn");
        return EXIT_FAILURE;
    }
    show(first);
    show(second);
    printf("%s has %s\n", weft_task_name(weft_current()), weft_local_get(&student) ? "a student" : "no student");
    return EXIT_SUCCESS;
}
