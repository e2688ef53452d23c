/*
 * calendar.c
 *	  Days, months and hold instants in a program's zone.
 *
 * CONTRACT section 3.6: a hold ends hold_days calendar days after occurred_at
 * in the program's zone, rounded up to local midnight unless it is one.  All
 * functions are pure.
 */
#include "calendar.h"

#include "miscadmin.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

/* The instant at which the local day begins. */
static TimestampTz
midnight(DateADT day, pg_tz *zone)
{
	struct pg_tm tm;
	Timestamp	result;
	int			offset;

	memset(&tm, 0, sizeof(tm));
	j2date(day + POSTGRES_EPOCH_JDATE, &tm.tm_year, &tm.tm_mon, &tm.tm_mday);
	offset = DetermineTimeZoneOffset(&tm, zone);
	if (tm2timestamp(&tm, 0, &offset, &result) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	return result;
}

/*
 * Return the calendar of a payment that occurred at a finite `occurred_at`.
 *
 * Counters are kept per midnight.  Without a hold a reward is available from
 * occurred_at on; once that is past, the midnight before it says the same to
 * every reader and keeps the counter's rows few.  Where clocks go back over
 * midnight, the one that is found may lie after occurred_at, and ahead.
 */
Moment
calendar_moment(TimestampTz occurred_at, pg_tz *zone, int32 hold_days,
				TimestampTz now)
{
	Moment		moment;
	struct pg_tm tm;
	fsec_t		fsec;
	int			offset;
	bool		is_midnight;

	if (timestamp2tm(occurred_at, &offset, &tm, &fsec, NULL, zone) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));

	moment.day = date2j(tm.tm_year, tm.tm_mon, tm.tm_mday) - POSTGRES_EPOCH_JDATE;
	moment.month = moment.day - (tm.tm_mday - 1);
	is_midnight = tm.tm_hour == 0 && tm.tm_min == 0 && tm.tm_sec == 0 && fsec == 0;

	if (hold_days > 0)
	{
		moment.available_at = midnight(moment.day + hold_days + (is_midnight ? 0 : 1), zone);
		moment.counter_at = moment.available_at;
	}
	else
	{
		moment.available_at = occurred_at;
		moment.counter_at = occurred_at > now
			? occurred_at : Min(occurred_at, midnight(moment.day, zone));
	}
	return moment;
}

/*
 * Return the calendar of a reward that was frozen with that available_at: where
 * its counter is kept.  Without a hold it may have been kept at the very
 * instant, while that was ahead; the midnight before it reads the same.
 */
Moment
calendar_moment_of_reward(TimestampTz occurred_at, TimestampTz available_at,
						  pg_tz *zone, TimestampTz now)
{
	Moment		moment = calendar_moment(occurred_at, zone, 0, now);

	if (available_at != occurred_at)
		moment.available_at = moment.counter_at = available_at;
	return moment;
}

/*
 * Return the local day on which a finite instant falls.
 */
DateADT
calendar_day(TimestampTz at, pg_tz *zone)
{
	struct pg_tm tm;
	fsec_t		fsec;
	int			offset;

	if (timestamp2tm(at, &offset, &tm, &fsec, NULL, zone) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	return date2j(tm.tm_year, tm.tm_mon, tm.tm_mday) - POSTGRES_EPOCH_JDATE;
}

/*
 * Is start <= at < start + days x 24 hours?  A window of 0 days never ends.
 */
bool
calendar_within(TimestampTz at, TimestampTz start, int32 days)
{
	return at >= start &&
		(days == 0 || at - start < (int64) days * USECS_PER_DAY);
}
