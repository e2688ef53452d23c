/*
 * settlement.h
 *	  Members' accounts, and which rewards spends and payouts used up.
 */
#ifndef REFERRAL_SETTLEMENT_H
#define REFERRAL_SETTLEMENT_H

#include "calendar.h"
#include "counters.h"
#include "program_cache.h"

/* A reward after a refund took from it. */
typedef struct ReversedReward
{
	int64		reward_id;
	int64		amount_micro;
	int64		reversed_micro; /* in all, this refund included */
	int32		level;
	Moment		moment;			/* whose counter it belongs to */
} ReversedReward;

typedef struct Account Account;
typedef struct Accounts Accounts;

extern Accounts *accounts_begin(Books *books, Counters *counters);
extern Account *account_find(Accounts *accounts, const Program *program,
							 int64 member_id);
extern bool accounts_lock(Accounts *accounts);
extern int64 account_left(Accounts *accounts, Account *account);
extern void account_reverse(Accounts *accounts, Account *account,
							const ReversedReward *reward, int64 increase);
extern void accounts_flush(Accounts *accounts);

#endif							/* REFERRAL_SETTLEMENT_H */
