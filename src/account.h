/*
 * account.h
 *	  A member's account as the modules of settlement share it in a run.
 */
#ifndef REFERRAL_ACCOUNT_H
#define REFERRAL_ACCOUNT_H

#include "settlement.h"

/* Column numbers of sql/model/040_counter.sql and 060_refund.sql. */
enum
{
	EARNING_COLUMN_AVAILABLE_AT = 3,
	EARNING_COLUMN_EARNED_ON,
	EARNING_COLUMN_LEVEL,
	EARNING_COLUMN_AMOUNT_MICRO = 7,
	EARNING_COLUMN_VOLUME_MICRO,
	EARNING_COLUMN_DEPOSITS_MICRO,
	EARNING_COLUMN_REWARDS,
	EARNING_COLUMN_REVERSED_MICRO,
	EARNING_COLUMN_CLOSED
};

/* Of 070_settlement.sql. */
enum
{
	ACCOUNT_SPENT_MICRO = 3,
	ACCOUNT_PAID_OUT_MICRO,
	ACCOUNT_RESERVED_MICRO,
	ACCOUNT_ADJUSTED_MICRO,
	ACCOUNT_OPEN_FROM,
	ACCOUNT_UNCOVERED_MICRO
};

/* And of 030_payment.sql. */
enum
{
	REWARD_COLUMN_REWARD_ID = 2,
	REWARD_COLUMN_BASE_MICRO = 5,
	REWARD_COLUMN_AMOUNT_MICRO,
	REWARD_COLUMN_AVAILABLE_AT = 8,
	REWARD_COLUMN_LEVEL = 12,
	REWARD_COLUMN_PAYMENT_ID = 13
};

/* Status of a reward that is closed, in the order of its text. */
typedef enum Closing
{
	CLOSING_NONE,				/* the reward is pending or available */
	CLOSING_PAID_OUT,
	CLOSING_REVERSED,
	CLOSING_SPENT
} Closing;

#define NCLOSINGS	(CLOSING_SPENT + 1)

/* What a settlement settles: a spend or a payout. */
typedef struct Settler
{
	Closing		kind;			/* CLOSING_SPENT or CLOSING_PAID_OUT */
	int64		no;
} Settler;

/* A row of settlement that is stored already. */
typedef struct Part
{
	Settler		settler;
	int64		stored_micro;
	int64		amount_micro;	/* after this run */
	ItemPointerData tid;
} Part;

/* A reward of which this run changed what was reversed or settled. */
typedef struct TouchedReward
{
	struct TouchedReward *next; /* of the same account */
	Account    *account;
	ReversedReward reward;
	int64		settled_micro;
	Closing		last_kind;		/* who took its last part, or CLOSING_NONE */
	Closing		stored;			/* its row in reward_closed, before the run */
	Part	   *parts;			/* by settlement_no */
	int			nparts;
} TouchedReward;

struct Account
{
	const Program *program;
	int64		member_id;
	bool		is_there;		/* its row was found */
	bool		is_locked;
	ItemPointerData tid;

	/* The row, as of the lock. */
	int64		spent_micro;
	int64		paid_out_micro;
	int64		reserved_micro;
	int64		adjusted_micro;

	/* And what the run makes of it. */
	int64		open_from;
	int64		uncovered_micro;
	bool		is_changed;

	bool		is_summed;		/* earned_micro is valid */
	int128		earned_micro;	/* of all his rewards, net, as the books say */
	int128		reversed_micro; /* by this run */

	TouchedReward *touched;
	bool		is_released;	/* the run took settlements back */
	Account    *next_released;
	int64		first_uncovered;	/* made by this run, in Accounts.rows, or -1 */
	int64		last_uncovered;
};

/* A row of settlement to be written. */
typedef struct NewSettlement
{
	const Account *account;
	int64		reward_id;
	int64		settlement_no;
	int64		amount_micro;	/* 0: it is not written after all */
	Settler		settler;
	int64		next_uncovered; /* of the same account, or -1 */
} NewSettlement;

/* A row of reward_closed to be written. */
typedef struct NewClosing
{
	const Account *account;
	int64		reward_id;
	Closing		status;
} NewClosing;

struct Accounts
{
	Books	   *books;
	Counters   *counters;
	struct account_hash *known;
	Account   **wanted;			/* to be locked */
	int64		nwanted;
	int64		wanted_size;
	struct touched_hash *touched;	/* NULL: none */
	Account    *released;
	NewSettlement *rows;
	int64		nrows;
	int64		rows_size;
	NewClosing *closings;
	int64		nclosings;
	int64		closings_size;
	Oid			settlement_seq;
	Datum		closing_text[NCLOSINGS];	/* 0: not made yet */
};

extern int64 account_available(Accounts *accounts, Account *account,
							   TimestampTz now);
extern void accounts_write(Accounts *accounts);
extern void *accounts_grow(Accounts *accounts, void *array, int64 n,
						   int64 *size, Size element);

extern Closing touched_closing(const TouchedReward *touched);
extern TouchedReward *touched_find(Accounts *accounts, const Account *account,
								   int64 reward_id);
extern void account_settle(Accounts *accounts, Account *account,
						   const Settler *settler, int64 amount_micro);
extern void account_unsettle(Accounts *accounts, Account *account,
							 const Settler *settler);

#endif							/* REFERRAL_ACCOUNT_H */
