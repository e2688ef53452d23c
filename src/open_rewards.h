/*
 * open_rewards.h
 *	  A member's available rewards that are not used up, oldest first.
 */
#ifndef REFERRAL_OPEN_REWARDS_H
#define REFERRAL_OPEN_REWARDS_H

#include "account.h"

/* An available reward of which something is left. */
typedef struct OpenReward
{
	int64		reward_id;
	TimestampTz available_at;
	int64		left_micro;		/* neither reversed nor settled */
	TouchedReward *touched;		/* where this run reversed of it, else NULL */
	ItemPointerData tid;
	int16		level;
	int32		day;			/* which one of OpenRewards */
} OpenReward;

typedef struct OpenRewards OpenRewards;

extern OpenRewards *open_rewards_find(Accounts *accounts, Account *account,
									  int128 need_micro);
extern OpenReward *open_rewards_first(OpenRewards *open);
extern Moment open_reward_moment(OpenRewards *open, const OpenReward *reward);
extern void open_rewards_end(OpenRewards *open);
extern Moment reward_moment(Books *books, const Program *program, Table *table);

#endif							/* REFERRAL_OPEN_REWARDS_H */
