/*
 * payments.h
 *	  The rows that a run takes in: where they come from, read and checked.
 */
#ifndef REFERRAL_PAYMENTS_H
#define REFERRAL_PAYMENTS_H

#include "calendar.h"
#include "intake.h"
#include "payers.h"

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

/* Where they come from, and who paid. */
typedef struct PaymentSource
{
	IntakeRows	in;
	Payers	   *payers;
	Payer	  **payer_of;		/* of each row of a statement, in their order */
	int64		nknown;			/* of so many rows, so far */
	int64		nread;			/* since the last rewind */
} PaymentSource;

extern void payments_begin(PaymentSource *source, Books *books);
extern void payments_rewind(PaymentSource *source);
extern bool payments_next(PaymentSource *source, Payment *payment);
extern bool payments_next_name(PaymentSource *source, PaymentName *payment);
extern void payments_claim(PaymentSource *source, bool waited);

#endif							/* REFERRAL_PAYMENTS_H */
