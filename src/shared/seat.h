/* SPDX-License-Identifier: MIT */
/*
 * The seats of a family: who its members are. A member's number is that of his seat, and stands in every word of the arena that says what
 * he has in hand; a seat is given to another process only when all that its last member left has been put right.
 */
#ifndef WEFTI_SEAT_H
#define WEFTI_SEAT_H

#include <pthread.h>

#include "shared/arena.h"

#ifdef WEFTI_SMALL
enum { WEFTI_SEATS = 16 };
#else
enum { WEFTI_SEATS = 4096 };
#endif
/* Two keepers: the supervisor, and the spare that takes its place. */
enum { WEFTI_KEEPERS = 2 };
enum { WEFTI_SEAT_ROOT = 1, WEFTI_SEAT_KEEPER = 2, WEFTI_SEAT_FIRST = WEFTI_SEAT_KEEPER + WEFTI_KEEPERS };

struct wefti_process;

enum wefti_seat_state {
    WEFTI_SEAT_EMPTY,
    WEFTI_SEAT_COMING, /* kept for a process that is being made */
    WEFTI_SEAT_READY,  /* a process stands by there, for which nobody has asked yet */
    WEFTI_SEAT_TAKEN,  /* by the process `pid` */
    WEFTI_SEAT_GONE    /* it is dead, and what it left is being put right */
};

/* Written by the supervisor (seat 1 by the root, once; while READY by the process that stands by) but for `lives`; read by anybody. */
struct wefti_seat {
    uint32_t state;      /* the last to be stored when it becomes TAKEN: release */
    uint32_t generation; /* how many have had it; changes before it is EMPTY again */
    int32_t pid;
    uint32_t asks;    /* 1 once its member has made a record of a process; written by him */
    uint64_t started; /* CLOCK_BOOTTIME, nanoseconds */
    struct wefti_life
        *lives; /* life.h: the newest. The member's threads add to the list; nothing is ever taken out, the seat's next member has it */
    struct wefti_process *process; /* whose seat it is, if that has claimed it: family/claim.c */
    uint64_t ticket;               /* of `process` */
    uint64_t maker;                /* who has asked for it, or who had asked for him, when he is dead: family/below.h; 0: nobody */
    uint32_t stopped;              /* 1 + the generation of the member who is being stopped; written by who stops him: family/below.h */
    /* 1: its member takes in what his descendants leave behind, and so do those he asks for. Written before `maker`, and by himself. */
    uint32_t reaps;
};

/* One of the two. */
struct wefti_keeper {
    /*
     * Held by it from before it is of use to its end. Its word is what the kernel marks when it dies, so that who waits for an answer waits
     * for that too.
     */
    pthread_mutex_t life;
    int32_t pid; /* written before it is of use; 0: there is none yet */
    uint32_t reserved;
};

struct wefti_family {
    int32_t root;       /* pid; constant */
    int32_t supervisor; /* pid; written before it takes requests, and again by each that takes its place */
    uint32_t epoch;     /* how often that was; changes when all that the one before left has been put right, and is waited for */
    uint32_t deaths;    /* how many members' left-behinds have been put right; waited for by who has to look again after each */
    uint64_t tickets;   /* the last that was given to a process's record */
    struct wefti_keeper keepers[WEFTI_KEEPERS];
    struct wefti_seat seats[WEFTI_SEATS];
};

/* The family of this process's arena, or NULL. */
struct wefti_family *wefti_family_now(void);
/* The same, made if there is none, with this process as its root. NULL with ESTALE (this process is no member), and the errno of
 * weft_shared_alloc. */
struct wefti_family *wefti_family_get(void);

#endif
