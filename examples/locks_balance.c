/* SPDX-License-Identifier: MIT */
/*
 * Two threads pay in and draw out the same amounts, over and over; in the end there must be nothing left. Without a lock one's write goes
 * over what the other wrote since it looked, and money appears or is lost; with it the balance ends at 0. (The balance is read and written
 * atomically, which is not enough: between the two somebody else may come.)
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

enum { TIMES = 20000, ROUNDS = 100 };

static _Atomic int64_t balance;
static weft_lock balance_lock;

static void change(int64_t amount, bool hesitate)
{
    int64_t seen = balance;
    if (hesitate)
        weft_yield();
    balance = seen + amount;
}

static weft_value trade_unlocked(weft_value amount)
{
    for (int i = 0; i < TIMES; i++) {
        change(weft_as_int(amount), i % 1000 == 0);
        change(-weft_as_int(amount), false);
    }
    return weft_none;
}

static weft_value trade_locked(weft_value amount)
{
    for (int i = 0; i < TIMES; i++) {
        weft_with (&balance_lock) {
            change(weft_as_int(amount), i % 1000 == 0);
            change(-weft_as_int(amount), false);
        }
    }
    return weft_none;
}

/* The balance after two traders. */
static int64_t trade(weft_function *trader)
{
    balance = 0;
    weft_task *five = weft_spawn(WEFT_THREAD, trader, weft_int(5));
    weft_task *eight = weft_spawn(WEFT_THREAD, trader, weft_int(8));
    if (!five || !eight || weft_task_join(five, WEFT_FOREVER) != 0 || weft_task_join(eight, WEFT_FOREVER) != 0) {
        perror("trade");
        exit(EXIT_FAILURE);
    }
    weft_task_free(five);
    weft_task_free(eight);
    return balance;
}

int main(void)
{
    int round = 0;
    while (round < ROUNDS && trade(trade_unlocked) == 0)
        round++;
    printf("without a lock: %s\n", balance == 0 ? "right, by luck" : "wrong");
    printf("with a lock: %lld\n", (long long)trade(trade_locked));
    return EXIT_SUCCESS;
}
