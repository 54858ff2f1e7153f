/* SPDX-License-Identifier: MIT */
/*
 * Tokens go round between threads that wait for several words at once, with deadlines and cancellations in between: none may be lost, so
 * all are there at the end, and nobody may sleep while a token that he waits for lies there.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "fixture.h"
#include "wait/context.h"

enum { THREADS = 6, WORDS = 3, ROUNDS = 200000 };

static uint32_t tokens[WORDS];
static uint64_t taken;
static struct wefti_context *contexts[THREADS];
static struct wefti_latch contexts_latch;

/* A token of any word, or -1 when there was none. */
static int token_take(void)
{
    for (int i = 0; i < WORDS; i++) {
        uint32_t there = __atomic_load_n(&tokens[i], __ATOMIC_ACQUIRE);
        while (there > 0)
            if (__atomic_compare_exchange_n(&tokens[i], &there, there - 1, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
                return i;
    }
    return -1;
}

static void token_put(unsigned *seed)
{
    uint32_t *word = &tokens[(unsigned)rand_r(seed) % WORDS];
    __atomic_add_fetch(word, 1, __ATOMIC_RELEASE);
    weft_wake(word, 1);
}

static void token_wait(unsigned *seed, bool descriptors)
{
    struct wefti_item items[WORDS + 1];
    for (int i = 0; i < WORDS; i++)
        items[i] = (struct wefti_item){.kind = WEFTI_WORD, .word = &tokens[i]};
    items[WORDS] = (struct wefti_item){.kind = WEFTI_DESCRIPTOR, .descriptor = -1};
    int how = rand_r(seed) % 8;
    weft_time deadline = how == 0 ? WEFT_NOW : how < 3 ? weft_in(1e-6 * (rand_r(seed) % 50)) : WEFT_FOREVER;
    int ended = wefti_wait_items(items, descriptors ? WORDS + 1 : WORDS, deadline);
    if (ended < 0 && errno == ECANCELED)
        wefti_context_uncancel(wefti_context_current());
    else if (ended < 0)
        ck_assert(errno == ETIMEDOUT || errno == EAGAIN);
}

static void *go_round(void *data)
{
    unsigned number = (unsigned)(uintptr_t)data, seed = number + 1;
    wefti_latch_close(&contexts_latch);
    contexts[number] = wefti_context_current();
    wefti_latch_open(&contexts_latch);
    while (__atomic_load_n(&taken, __ATOMIC_RELAXED) < ROUNDS) {
        if (token_take() < 0) {
            token_wait(&seed, number % 2);
            continue;
        }
        __atomic_add_fetch(&taken, 1, __ATOMIC_RELAXED);
        token_put(&seed);
    }
    for (int i = 0; i < WORDS; i++)
        weft_wake(&tokens[i], UINT32_MAX);
    wefti_latch_close(&contexts_latch);
    contexts[number] = NULL;
    wefti_latch_open(&contexts_latch);
    return NULL;
}

static void cancel_somebody(unsigned *seed)
{
    wefti_latch_close(&contexts_latch);
    struct wefti_context *context = contexts[(unsigned)rand_r(seed) % THREADS];
    if (context)
        wefti_context_cancel(context);
    wefti_latch_open(&contexts_latch);
}

START_TEST(tokens_go_round)
{
    pthread_t threads[THREADS];
    tokens[0] = 2;
    for (uintptr_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, go_round, (void *)i);
    unsigned seed = 99;
    while (__atomic_load_n(&taken, __ATOMIC_RELAXED) < ROUNDS) {
        cancel_somebody(&seed);
        weft_wait(&tokens[0], UINT32_MAX, WEFT_NOW);
        struct wefti_item none[1];
        ck_fails(wefti_wait_items(none, 0, weft_in(1e-5)), ETIMEDOUT);
    }
    /* Who sleeps for ever with no token to come is woken by being cancelled. */
    for (int i = 0; i < THREADS; i++) {
        wefti_latch_close(&contexts_latch);
        if (contexts[i])
            wefti_context_cancel(contexts[i]);
        wefti_latch_open(&contexts_latch);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(tokens[0] + tokens[1] + tokens[2], 2);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, tokens_go_round);
}

int main(void)
{
    return fixture_main("stress wait", add);
}
