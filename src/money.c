/*
 * money.c
 *	  Exact arithmetic on micro-units: the amount of a reward, its
 *	  reversal, sums.
 *
 * Everything here is pure.  Products are 128 bits wide, so nothing wraps; what
 * does not fit into a bigint at the end is SQLSTATE 22003 (CONTRACT, preamble).
 */
#include "money.h"

#include "common/int.h"

/*
 * Raise 22003: an amount, or one member's sum, has left the range of bigint.
 */
static void pg_attribute_noreturn()
money_overflow(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("amount out of range"),
			 errdetail("An amount or a sum of one member does not fit into 64 bits of micro-units.")));
}

/*
 * Return floor(base_micro * rate_bps / 10000) + flat_micro, CONTRACT section
 * 3.4.  base_micro is not negative.
 */
int128
money_share(int64 base_micro, int32 rate_bps, int64 flat_micro)
{
	return (int128) base_micro * rate_bps / 10000 + flat_micro;
}

/*
 * The same as a reward, which has to fit into a bigint.  Raises 22003 when it
 * does not.
 */
int64
money_reward(int64 base_micro, int32 rate_bps, int64 flat_micro)
{
	return money_narrow(money_share(base_micro, rate_bps, flat_micro));
}

/*
 * Return how much of a reward is to be reversed when refunded_micro of its
 * payment's base were given back in all: floor(amount * refunded / base), so all
 * of it at the end, whatever the parts were (CONTRACT section 4).
 * 0 <= refunded_micro <= base_micro, 0 < base_micro.
 */
int64
money_reversal(int64 amount_micro, int64 refunded_micro, int64 base_micro)
{
	return (int64) ((int128) amount_micro * refunded_micro / base_micro);
}

/*
 * Return a + b; raises 22003 where that does not fit.
 */
int64
money_add(int64 a, int64 b)
{
	int64		sum;

	if (pg_add_s64_overflow(a, b, &sum))
		money_overflow();
	return sum;
}

/*
 * Return a sum as a bigint; raises 22003 where that does not fit.
 */
int64
money_narrow(int128 sum)
{
	if (sum < PG_INT64_MIN || sum > PG_INT64_MAX)
		money_overflow();
	return (int64) sum;
}
