/*
 * payments.c
 *	  The rows that a run takes in: where they come from, read and checked.
 *
 * The engine (payment_in.c) goes over the rows of a statement twice; this
 * module hands them out, each with its program, its payer and its place in the
 * calendar, and refuses what no payment may be.
 */
#include "payments.h"

#include "utils/builtins.h"

/* Column numbers of sql/model/030_payment.sql. */
enum
{
	PAYMENT_PROGRAM_ID = 1,
	PAYMENT_PAYMENT_ID,
	PAYMENT_USER_ID,
	PAYMENT_AMOUNT_MICRO,
	PAYMENT_BASE_MICRO,
	PAYMENT_KIND,
	PAYMENT_OCCURRED_AT,
	PAYMENT_PAYMENT_NO,
	PAYMENT_TAKEN_IN
};

/* From so many rows on their payers are found all at once. */
#define MANY_ROWS	64

/* Find the payers of all rows. */
static void
find_payers(PaymentSource *source)
{
	TupleTableSlot *slot;

	intake_rewind(&source->in);
	while ((slot = intake_next(&source->in)) != NULL)
	{
		const Program *program;

		slot_getsomeattrs(slot, PAYMENT_USER_ID);
		program = intake_program(&source->in,
								 DatumGetInt64(slot->tts_values[PAYMENT_PROGRAM_ID - 1]));
		source->payer_of[source->nknown++] =
			payer_note(source->payers, program, slot->tts_values[PAYMENT_USER_ID - 1]);
	}
	payers_read(source->payers);
}

/*
 * Begin to read payments in a run over the books.
 */
void
payments_begin(PaymentSource *source, Books *books)
{
	int64		nrows;

	source->in.books = books;
	source->in.table = TABLE_PAYMENT;
	source->in.taken_in = PAYMENT_TAKEN_IN;
	source->payers = payers_begin(books);
	if (!source->in.rows)
		return;
	nrows = tuplestore_tuple_count(source->in.rows);
	source->payer_of = MemoryContextAllocHuge(books->context, nrows * sizeof(Payer *));
	if (nrows >= MANY_ROWS)
		find_payers(source);
}

/* CONTRACT section 3.2 and section 1, table payment. */
static void
check_payment(const Payment *payment, const TupleTableSlot *slot)
{
	intake_check_text(slot, PAYMENT_PAYMENT_ID, 1, 200);
	intake_check_text(slot, PAYMENT_USER_ID, 1, 200);
	intake_check_text(slot, PAYMENT_KIND, 1, 100);
	if (payment->payment_no < 1 || payment->payment_no > PAYMENT_NO_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("number of the payment is out of range"),
				 errdetail("Payment \"%s\" has payment_no %lld.",
						   TextDatumGetCString(payment->payment_id),
						   (long long) payment->payment_no),
				 errhint("Leave it to the column's default.")));
	if (payment->amount_micro < 0 || payment->base_micro < 0)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("amount of the payment is negative"),
				 errdetail("Payment \"%s\" has amount %lld and base %lld.",
						   TextDatumGetCString(payment->payment_id),
						   (long long) payment->amount_micro,
						   (long long) payment->base_micro),
				 errhint("Money that is given back is a refund.")));
	intake_check_instant(payment->occurred_at, payment->payment_id);
}

/*
 * Begin again with the first row.
 */
void
payments_rewind(PaymentSource *source)
{
	intake_rewind(&source->in);
	source->nread = 0;
}

/* Who pays; a statement's rows are the same each time they are read. */
static Payer *
payer_of(PaymentSource *source, const Program *program, Datum user_id)
{
	Payer	   *payer;

	if (source->nread < source->nknown)
		return source->payer_of[source->nread++];
	payer = payer_find(source->payers, program, user_id);
	if (source->payer_of)
	{
		source->payer_of[source->nknown++] = payer;
		source->nread++;
	}
	return payer;
}

/*
 * Read the next row that the engine is to take in; false at the end.  Raises
 * 22003, 22008, 23503 and 23514 for rows that no payment may be.
 */
bool
payments_next(PaymentSource *source, Payment *payment)
{
	TupleTableSlot *slot = intake_next(&source->in);
	text	   *kind;

	if (!slot)
		return false;
	slot_getsomeattrs(slot, PAYMENT_TAKEN_IN);
	payment->program = intake_program(&source->in, DatumGetInt64(slot->tts_values[PAYMENT_PROGRAM_ID - 1]));
	payment->payment_id = slot->tts_values[PAYMENT_PAYMENT_ID - 1];
	payment->payment_no = DatumGetInt64(slot->tts_values[PAYMENT_PAYMENT_NO - 1]);
	payment->amount_micro = DatumGetInt64(slot->tts_values[PAYMENT_AMOUNT_MICRO - 1]);
	payment->base_micro = slot->tts_isnull[PAYMENT_BASE_MICRO - 1]
		? payment->amount_micro
		: DatumGetInt64(slot->tts_values[PAYMENT_BASE_MICRO - 1]);
	payment->occurred_at = DatumGetTimestampTz(slot->tts_values[PAYMENT_OCCURRED_AT - 1]);
	kind = DatumGetTextPP(slot->tts_values[PAYMENT_KIND - 1]);
	payment->is_deposit = VARSIZE_ANY_EXHDR(kind) == strlen("deposit") &&
		memcmp(VARDATA_ANY(kind), "deposit", strlen("deposit")) == 0;
	check_payment(payment, slot);

	payment->payer = payer_of(source, payment->program,
							  slot->tts_values[PAYMENT_USER_ID - 1]);
	if (payment->payer->attributed)
		payment->moment = calendar_moment(payment->occurred_at,
										 payment->program->zone,
										 payment->program->hold_days,
										 source->in.books->now);
	return true;
}

/*
 * Read the next row, too, but for its name only, which stays until the next one
 * is read.
 */
bool
payments_next_name(PaymentSource *source, PaymentName *payment)
{
	TupleTableSlot *slot = intake_next(&source->in);

	if (!slot)
		return false;
	slot_getsomeattrs(slot, PAYMENT_PAYMENT_ID);
	payment->program_id = DatumGetInt64(slot->tts_values[PAYMENT_PROGRAM_ID - 1]);
	payment->payment_id = slot->tts_values[PAYMENT_PAYMENT_ID - 1];
	return true;
}

/*
 * Mark the payments that are taken in by their ids, or that waited for a
 * review, with new numbers, since rewards are numbered in the order of
 * processing.
 */
void
payments_claim(PaymentSource *source, bool waited)
{
	intake_claim(&source->in, waited, PAYMENT_PAYMENT_NO, "payment_no_seq");
}
