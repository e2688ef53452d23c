/*
 * reversal.c
 *	  What refunds took from a reward.
 *
 * There is no row per reversal: what was given back of the payment in all says
 * what is to be reversed of each of its rewards (money_reversal), and the rows
 * of write_off what of that the debt policy let go.  So nothing can disagree,
 * and a refund writes one row whatever the number of levels.
 */
#include "reversal.h"

#include "miscadmin.h"
#include "money.h"

/* Column numbers of sql/model/060_refund.sql. */
enum
{
	APPLIED_TOTAL_MICRO = 3,

	WRITE_OFF_AMOUNT_MICRO = 4
};

/*
 * Return how much of the payment's base was given back in all.
 */
int64
reversal_refunded(Books *books, int64 program_id, int64 payment_no)
{
	Table	   *table = books_table(books, TABLE_REFUND_APPLIED);
	Datum		key[2] = {Int64GetDatum(program_id), Int64GetDatum(payment_no)};

	return table_find_last(books, table, 2, key)
		? row_int64(table, APPLIED_TOTAL_MICRO) : 0;
}

/*
 * Return what refunds let go of a reward.
 */
int64
reversal_written_off(Books *books, int64 program_id, int64 reward_id)
{
	Table	   *table = books_table(books, TABLE_WRITE_OFF);
	Datum		key[2] = {Int64GetDatum(program_id), Int64GetDatum(reward_id)};
	int64		written_off = 0;

	for (bool found = table_find(books, table, 2, key); found;
		 found = table_find_next(table, 2))
	{
		CHECK_FOR_INTERRUPTS();
		written_off += row_int64(table, WRITE_OFF_AMOUNT_MICRO);
	}
	return written_off;
}

/*
 * Return what was reversed of a reward.
 */
int64
reversal_of(Books *books, int64 program_id, int64 reward_id,
			int64 amount_micro, int64 base_micro)
{
	int64		refunded = reversal_refunded(books, program_id,
											 REWARD_PAYMENT_NO(reward_id));

	if (refunded == 0)
		return 0;
	return money_reversal(amount_micro, refunded, base_micro) -
		reversal_written_off(books, program_id, reward_id);
}
