/*
 * counters.h
 *	  Sums that many sessions add to at once without waiting for each other.
 */
#ifndef REFERRAL_COUNTERS_H
#define REFERRAL_COUNTERS_H

#include "tables.h"

/* Longest key without the part, earning's, and most values, funnel's. */
#define COUNTER_MAX_KEYS	5
#define COUNTER_MAX_VALUES	8

typedef struct CounterKey
{
	int64		column[COUNTER_MAX_KEYS];	/* unused ones are 0 */
} CounterKey;

/* The values of earning, in the order of its columns. */
enum
{
	EARNING_AMOUNT,
	EARNING_VOLUME,
	EARNING_DEPOSITS,
	EARNING_REWARDS,
	EARNING_REVERSED,
	EARNING_CLOSED
};

/* The values of paid. */
enum
{
	PAID_VOLUME,
	PAID_DEPOSITS,
	PAID_PAYMENTS,
	PAID_EARNING_PAYMENTS
};

typedef struct Counters Counters;

/* What a run adds to one key. */
typedef struct Credit Credit;

extern void counters_init(void);
extern Counters *counters_begin(Books *books);
extern void counters_add(Counters *counters, TableId table,
						 const CounterKey *key, const int64 *values);
extern void counters_add_again(Counters *counters, TableId table,
							   const CounterKey *key, const int64 *values,
							   Credit **last);
extern Datum counters_key_datum(const Table *table, int column, int64 value);
extern int64 counters_sum(Books *books, TableId table, const CounterKey *key,
						  int nkeys, int value);
extern void counters_flush(Counters *counters);
extern void counters_write(Books *books, TableId table, const CounterKey *key,
						   const int64 *values);

#endif							/* REFERRAL_COUNTERS_H */
