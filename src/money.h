/*
 * money.h
 *	  Exact arithmetic on micro-units; pure functions.
 */
#ifndef REFERRAL_MONEY_H
#define REFERRAL_MONEY_H

#include "referral.h"

extern int128 money_share(int64 base_micro, int32 rate_bps, int64 flat_micro);
extern int64 money_reward(int64 base_micro, int32 rate_bps, int64 flat_micro);
extern int64 money_reversal(int64 amount_micro, int64 refunded_micro,
							int64 base_micro);
extern int64 money_add(int64 a, int64 b);
extern int64 money_narrow(int128 sum);

#endif							/* REFERRAL_MONEY_H */
