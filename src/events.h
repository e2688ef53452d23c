/*
 * events.h
 *	  What a run leaves for the outbox.
 */
#ifndef REFERRAL_EVENTS_H
#define REFERRAL_EVENTS_H

#include "program_cache.h"

typedef struct Events Events;

extern Events *events_begin(Books *books);
extern void events_add(Events *events, const Program *program,
					   const char *kind, int64 subject_id,
					   int64 amount_micro, const char *state);
extern void events_end(Events *events);

#endif							/* REFERRAL_EVENTS_H */
