/*
 * refunds.h
 *	  The refunds that a run takes in: where they come from, read and checked.
 */
#ifndef REFERRAL_REFUNDS_H
#define REFERRAL_REFUNDS_H

#include "payments.h"

/* One refund; valid until the next one is read. */
typedef struct Refund
{
	const Program *program;
	Datum		refund_id;		/* text */
	Datum		payment_id;		/* text */
	int64		refund_no;
	int64		amount_micro;	/* in units of the payment's base */
	ItemPointerData waits_at;	/* its row of refund_waiting, where it waits */
} Refund;

/*
 * Where the refunds come from: a statement's transition table, read through
 * slot; table refund, by ids; or those that wait for some payments.
 */
typedef struct RefundSource
{
	Books	   *books;
	Tuplestorestate *rows;
	TupleTableSlot *slot;
	int64		program_id;
	Datum	   *ids;			/* text */
	int			nids;
	PaymentName *payments;
	int			npayments;
	int			next;			/* of ids or payments */
	bool		in_payment;		/* a scan of payments[next - 1] goes on */
	MemoryContext row_context;	/* of the texts of a refund that waits */
	const Program *last_program;
} RefundSource;

extern void refunds_rewind(RefundSource *source);
extern bool refunds_next(RefundSource *source, Refund *refund);
extern void refunds_claim(RefundSource *source);

#endif							/* REFERRAL_REFUNDS_H */
