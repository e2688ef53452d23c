/*
 * bounded.h
 *	  Counters beside a limit: what a sum can come to, whoever commits.
 */
#ifndef REFERRAL_BOUNDED_H
#define REFERRAL_BOUNDED_H

#include "counters.h"

typedef struct SumRange
{
	int128		least;			/* what is committed, and what is ours */
	int128		most;			/* that, with all that others may commit */
	bool		is_open;		/* the sum depends on others */
	TransactionId writer;		/* one that is at it; invalid where it has
								 * ended since the snapshot was taken */
} SumRange;

extern void bounded_enter(TableId table, const CounterKey *key);
extern void bounded_leave(TableId table, const CounterKey *key);
extern void bounded_look(Books *books, TableId table, const CounterKey *key,
						 int nkeys, AttrNumber attnum, SumRange *range);
extern void bounded_wait(Books *books, const SumRange *range);

#endif							/* REFERRAL_BOUNDED_H */
