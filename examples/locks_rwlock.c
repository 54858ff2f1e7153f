/* SPDX-License-Identifier: MIT */
/* A table that many look things up in at once, and one task changes now and then: both halves of a row always fit. */
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

enum { READERS = 4, LOOKS = 20000, CHANGES = 100 };

static weft_rwlock lock;
static int price = 100, price_with_tax = 119;

static weft_value look(weft_value none)
{
    int misfits = 0;
    (void)none;
    for (int i = 0; i < LOOKS; i++)
        weft_with_read (&lock)
            misfits += price * 119 / 100 != price_with_tax;
    return weft_int(misfits);
}

int main(void)
{
    weft_task *readers[READERS];
    int64_t misfits = 0;
    for (int i = 0; i < READERS; i++)
        if (!(readers[i] = weft_spawn(WEFT_THREAD, look, weft_none)))
            return EXIT_FAILURE;
    for (int i = 0; i < CHANGES; i++)
        weft_with_write (&lock) {
            price += 100;
            price_with_tax += 119;
        }
    for (int i = 0; i < READERS; i++) {
        weft_value found;
        if (weft_task_result(readers[i], &found, WEFT_FOREVER) != 0)
            return EXIT_FAILURE;
        misfits += weft_as_int(found);
        weft_task_free(readers[i]);
    }
    printf("the price is %d, %d with tax\n", price, price_with_tax);
    printf("rows that did not fit: %lld\n", (long long)misfits);
    return EXIT_SUCCESS;
}
