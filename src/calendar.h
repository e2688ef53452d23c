/*
 * calendar.h
 *	  Days, months and hold instants in a program's zone; pure functions.
 */
#ifndef REFERRAL_CALENDAR_H
#define REFERRAL_CALENDAR_H

#include "referral.h"

#include "pgtime.h"

/* What a payment's occurred_at means in a program's calendar. */
typedef struct Moment
{
	DateADT		day;			/* local day it falls on */
	DateADT		month;			/* first day of that month */
	TimestampTz available_at;	/* of its rewards */
	TimestampTz counter_at;		/* the instant under which counters keep it */
} Moment;

extern Moment calendar_moment(TimestampTz occurred_at, pg_tz *zone,
							  int32 hold_days, TimestampTz now);
extern Moment calendar_moment_of_reward(TimestampTz occurred_at,
										TimestampTz available_at, pg_tz *zone,
										TimestampTz now);
extern DateADT calendar_day(TimestampTz at, pg_tz *zone);
extern bool calendar_within(TimestampTz at, TimestampTz start, int32 days);

#endif							/* REFERRAL_CALENDAR_H */
