/*
 * payments.h
 *	  The rows that a run takes in: where they come from, read and checked.
 */
#ifndef REFERRAL_PAYMENTS_H
#define REFERRAL_PAYMENTS_H

#include "calendar.h"
#include "payers.h"

#include "utils/tuplestore.h"

/* One row; valid until the next one is read. */
typedef struct Payment
{
	const Program *program;
	Payer	   *payer;
	int64		payment_no;
	int64		amount_micro;
	int64		base_micro;
	TimestampTz occurred_at;
	bool		is_deposit;
	Datum		payment_id;		/* text */
	Moment		moment;
} Payment;

/* A payment by the name that the application gave it. */
typedef struct PaymentName
{
	int64		program_id;
	Datum		payment_id;		/* text */
} PaymentName;

/*
 * Where the rows come from: a statement's transition table, read through slot,
 * or the table itself, by ids.
 */
typedef struct PaymentSource
{
	Books	   *books;
	Payers	   *payers;
	Tuplestorestate *rows;
	TupleTableSlot *slot;
	int64		program_id;
	Datum	   *ids;			/* text, where there is no transition table */
	int			nids;
	int			next_id;
	const Program *last_program;	/* rows of one program come together */
} PaymentSource;

extern void payments_rewind(PaymentSource *source);
extern bool payments_next(PaymentSource *source, Payment *payment);
extern bool payments_next_name(PaymentSource *source, PaymentName *payment);
extern void payments_claim(PaymentSource *source);

#endif							/* REFERRAL_PAYMENTS_H */
