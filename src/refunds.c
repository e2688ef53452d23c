/*
 * refunds.c
 *	  The refunds that a run takes in: where they come from, read and checked.
 *
 * The engine of refunds (refund_in.c) goes over the refunds of a statement
 * several times; this module hands them out and refuses what no refund may be.
 */
#include "refunds.h"

#include "intake.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/memutils.h"

/* Column numbers of sql/model/060_refund.sql. */
enum
{
	REFUND_PROGRAM_ID = 1,
	REFUND_REFUND_ID,
	REFUND_PAYMENT_ID,
	REFUND_AMOUNT_MICRO,
	REFUND_REASON,
	REFUND_OCCURRED_AT,
	REFUND_REFUND_NO,
	REFUND_TAKEN_IN,

	WAITING_PAYMENT_ID = 2,
	WAITING_REFUND_NO,
	WAITING_AMOUNT_MICRO,
	WAITING_REFUND_ID
};

/*
 * Begin to read refunds in a run over the books.
 */
void
refunds_begin(RefundSource *source, Books *books)
{
	source->in.books = books;
	source->in.table = TABLE_REFUND;
	source->in.taken_in = REFUND_TAKEN_IN;
	source->row_context = AllocSetContextCreate(books->context, "referral refund",
												ALLOCSET_SMALL_SIZES);
}

/*
 * Begin again with the first refund.
 */
void
refunds_rewind(RefundSource *source)
{
	intake_rewind(&source->in);
	source->next_payment = 0;
	source->in_payment = false;
}

/* CONTRACT sections 1 and 4. */
static void
check_refund(const Refund *refund, const TupleTableSlot *slot)
{
	intake_check_text(slot, REFUND_REFUND_ID, 1, 200);
	intake_check_text(slot, REFUND_PAYMENT_ID, 1, 200);
	intake_check_text(slot, REFUND_REASON, 0, 1000);
	intake_check_instant(DatumGetTimestampTz(slot->tts_values[REFUND_OCCURRED_AT - 1]),
						 refund->refund_id);
	if (refund->amount_micro <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("amount of the refund is not positive"),
				 errdetail("Refund \"%s\" has amount %lld.",
						   TextDatumGetCString(refund->refund_id),
						   (long long) refund->amount_micro)));
}

static bool
next_written(RefundSource *source, Refund *refund)
{
	TupleTableSlot *slot = intake_next(&source->in);

	if (!slot)
		return false;
	slot_getsomeattrs(slot, REFUND_TAKEN_IN);
	refund->program = intake_program(&source->in, DatumGetInt64(slot->tts_values[REFUND_PROGRAM_ID - 1]));
	refund->refund_id = slot->tts_values[REFUND_REFUND_ID - 1];
	refund->payment_id = slot->tts_values[REFUND_PAYMENT_ID - 1];
	refund->refund_no = DatumGetInt64(slot->tts_values[REFUND_REFUND_NO - 1]);
	refund->amount_micro = DatumGetInt64(slot->tts_values[REFUND_AMOUNT_MICRO - 1]);
	ItemPointerSetInvalid(&refund->waits_at);
	check_refund(refund, slot);
	return true;
}

/* They come payment by payment, each one's in the order of their numbers. */
static bool
next_waiting(RefundSource *source, Refund *refund)
{
	Table	   *table = books_table(source->in.books, TABLE_REFUND_WAITING);
	bool		found = source->in_payment && table_find_next(table, 2);
	MemoryContext old;
	bool		isnull;

	while (!found && source->next_payment < source->npayments)
	{
		PaymentName *payment = &source->payments[source->next_payment++];
		Datum		key[2] = {Int64GetDatum(payment->program_id), payment->payment_id};

		CHECK_FOR_INTERRUPTS();
		found = table_find(source->in.books, table, 2, key);
	}
	source->in_payment = found;
	if (!found)
		return false;

	/* The row makes room for another when this one is deleted. */
	MemoryContextReset(source->row_context);
	old = MemoryContextSwitchTo(source->row_context);
	refund->program = intake_program(&source->in, row_int64(table, 1));
	refund->payment_id = datumCopy(row_datum(table, WAITING_PAYMENT_ID, &isnull), false, -1);
	refund->refund_no = row_int64(table, WAITING_REFUND_NO);
	refund->amount_micro = row_int64(table, WAITING_AMOUNT_MICRO);
	refund->refund_id = datumCopy(row_datum(table, WAITING_REFUND_ID, &isnull), false, -1);
	refund->waits_at = table->row->tts_tid;
	MemoryContextSwitchTo(old);
	return true;
}

/*
 * Read the next refund; false at the end.  Raises 22003, 22008, 23503 and 23514
 * for rows that no refund may be.
 */
bool
refunds_next(RefundSource *source, Refund *refund)
{
	return source->payments ? next_waiting(source, refund)
		: next_written(source, refund);
}
