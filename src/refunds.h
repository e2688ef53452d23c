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
 * Where they come from: the rows of a statement, or of table refund by their
 * ids, or where `payments` is set those that wait for these payments.
 */
typedef struct RefundSource
{
	IntakeRows	in;
	PaymentName *payments;
	int			npayments;
	int			next_payment;
	bool		in_payment;		/* a scan of the one before goes on */
	MemoryContext row_context;	/* of the texts of a refund that waits */
} RefundSource;

extern void refunds_begin(RefundSource *source, Books *books);
extern void refunds_rewind(RefundSource *source);
extern bool refunds_next(RefundSource *source, Refund *refund);

#endif							/* REFERRAL_REFUNDS_H */
