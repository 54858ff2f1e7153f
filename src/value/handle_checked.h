/* SPDX-License-Identifier: MIT */
/*
 * How a counted value leads to its object in checked builds: through a record of the one hold that the value stands for. Every call here
 * ends the process when that hold is over already. The other way is handle_plain.h.
 */
#ifndef WEFTI_HANDLE_CHECKED_H
#define WEFTI_HANDLE_CHECKED_H

/* The object of a hold that is not over. */
void *wefti_handle_object(weft_value value);
/* Puts the first hold of an object into a value. False with ENOMEM. */
bool wefti_handle_open(weft_value *value, void *object);
/* The object of the only hold there is has come to lie elsewhere. */
void wefti_handle_move(weft_value *value, void *object);
/* A value that stands for one more hold of the same object. Never fails: without memory one record stands for both. */
weft_value wefti_handle_again(weft_value value);
/* Ends the hold and returns its object, the count of which is the caller's to lower; `closer` is told on misuse. */
void *wefti_handle_close(weft_value value, const char *closer);

#endif
