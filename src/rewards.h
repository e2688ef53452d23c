/*
 * rewards.h
 *	  Frozen reward rows, written many at a time.
 */
#ifndef REFERRAL_REWARDS_H
#define REFERRAL_REWARDS_H

#include "tables.h"

typedef struct Reward
{
	int64		program_id;
	int64		payment_no;
	int64		member_id;		/* beneficiary */
	int64		payer_id;
	int64		base_micro;
	int64		amount_micro;
	int64		flat_micro;
	TimestampTz available_at;
	int32		rate_bps;
	int32		tier;
	int32		level;
	bool		uses_grants;	/* it goes to an outside billing system */
	Datum		payment_id;		/* text */
} Reward;

typedef struct Rewards Rewards;

extern Rewards *rewards_begin(Books *books, int64 npayments);
extern void rewards_add(Rewards *rewards, const Reward *reward);
extern void rewards_flush(Rewards *rewards);

#endif							/* REFERRAL_REWARDS_H */
