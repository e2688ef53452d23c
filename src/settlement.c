/*
 * settlement.c
 *	  Which rewards spends and payouts used up.
 *
 * Each spend and each sent payout is laid on the available rewards, oldest
 * first, in rows of settlement.  What no reward covers stands under reward 0:
 * it is covered by money of adjustments, or owed.  A refund that takes from a
 * settled reward moves the excess there, the last part first; and whatever
 * touches a member's settlements then lays what is owed on the next open ones.
 * A reward that is reversed in full or used up has a row in reward_closed.
 *
 * A run keeps what it changes in memory and writes it at the end, in the order
 * of keys: its snapshot does not see its own rows, and the same reward may be
 * refunded many times in one statement.
 */
#include "account.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "open_rewards.h"
#include "reversal.h"
#include "settlement_rows.h"
#include "utils/memutils.h"

typedef struct TouchedKey
{
	int64		program_id;
	int64		reward_id;
} TouchedKey;

typedef struct TouchedEntry
{
	TouchedKey	key;
	char		status;
	TouchedReward *touched;
} TouchedEntry;

#define SH_PREFIX touched
#define SH_ELEMENT_TYPE TouchedEntry
#define SH_KEY_TYPE TouchedKey
#define SH_KEY key
#define SH_HASH_KEY(tb, k) murmurhash32((uint32) (k).reward_id ^ (uint32) ((k).reward_id >> 32) ^ (uint32) (k).program_id * 0x9E3779B1)
#define SH_EQUAL(tb, a, b) ((a).reward_id == (b).reward_id && (a).program_id == (b).program_id)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

static bool
same_settler(const Settler *a, const Settler *b)
{
	return a->kind == b->kind && a->no == b->no;
}

/* Credit a value of earning on the reward's own key. */
static void
credit(Accounts *accounts, const Account *account, const Moment *moment,
	   int level, int value, int64 increase)
{
	CounterKey	key = {{account->program->program_id, account->member_id,
	moment->counter_at, moment->day, level}};
	int64		values[COUNTER_MAX_VALUES] = {0};

	values[value] = increase;
	counters_add(accounts->counters, TABLE_EARNING, &key, values);
}

/*
 * Return what the reward is by now: reversed in full before all; else whatever
 * took its last part, once all that was not reversed is settled.
 */
Closing
touched_closing(const TouchedReward *touched)
{
	const ReversedReward *reward = &touched->reward;

	if (reward->reversed_micro >= reward->amount_micro)
		return CLOSING_REVERSED;
	if (touched->settled_micro < reward->amount_micro - reward->reversed_micro)
		return CLOSING_NONE;
	return touched->last_kind;
}

/*
 * Return the reward if this run touched it, else NULL.
 */
TouchedReward *
touched_find(Accounts *accounts, const Account *account, int64 reward_id)
{
	TouchedKey	key = {account->program->program_id, reward_id};
	TouchedEntry *entry = accounts->touched
		? touched_lookup(accounts->touched, key) : NULL;

	return entry ? entry->touched : NULL;
}

/* Read the reward's settlements as they are stored. */
static void
read_parts(Accounts *accounts, TouchedReward *touched)
{
	Table	   *table = books_table(accounts->books, TABLE_SETTLEMENT);
	const Account *account = touched->account;
	Datum		key[3] = {Int64GetDatum(account->program->program_id),
		Int64GetDatum(account->member_id),
	Int64GetDatum(touched->reward.reward_id)};
	int64		size = 0;

	for (bool found = table_find(accounts->books, table, 3, key); found;
		 found = table_find_next(table, 3))
	{
		Part	   *part;

		CHECK_FOR_INTERRUPTS();
		touched->parts = accounts_grow(accounts, touched->parts,
									   touched->nparts, &size, sizeof(Part));
		part = &touched->parts[touched->nparts++];
		part->settler = settlement_settler(table);
		part->stored_micro = part->amount_micro =
			row_int64(table, SETTLEMENT_AMOUNT_MICRO);
		part->tid = table->row->tts_tid;
		touched->settled_micro += part->amount_micro;
		touched->last_kind = part->settler.kind;
	}
}

/*
 * Return the reward to be changed; `before` is what it is as stored, where this
 * run has not touched it yet.
 */
static TouchedReward *
touch(Accounts *accounts, Account *account, const ReversedReward *before)
{
	TouchedKey	key = {account->program->program_id, before->reward_id};
	TouchedEntry *entry;
	TouchedReward *touched;
	bool		found;

	if (!accounts->touched)
		accounts->touched = touched_create(accounts->books->context, 16, NULL);
	entry = touched_insert(accounts->touched, key, &found);
	if (found)
		return entry->touched;

	touched = MemoryContextAllocZero(accounts->books->context,
									 sizeof(TouchedReward));
	touched->account = account;
	touched->reward = *before;
	touched->next = account->touched;
	account->touched = touched;
	entry->touched = touched;
	read_parts(accounts, touched);
	touched->stored = touched_closing(touched);
	return touched;
}

/* Take what was settled of the reward beyond what is left of it back. */
static void
release(Accounts *accounts, TouchedReward *touched)
{
	Account    *account = touched->account;
	int64		excess = touched->settled_micro -
		(touched->reward.amount_micro - touched->reward.reversed_micro);

	if (excess <= 0)
		return;
	if (!account->is_released)
	{
		account->is_released = true;
		account->next_released = accounts->released;
		accounts->released = account;
	}
	touched->settled_micro -= excess;
	touched->last_kind = CLOSING_NONE;
	for (int i = touched->nparts - 1; i >= 0; i--)
	{
		Part	   *part = &touched->parts[i];
		int64		taken = Min(part->amount_micro, excess);

		if (taken > 0)
			settlement_add_uncovered(accounts, account, &part->settler, taken);
		part->amount_micro -= taken;
		excess -= taken;
		if (part->amount_micro > 0)
		{
			touched->last_kind = part->settler.kind;
			break;
		}
	}
}

/*
 * A refund reversed `increase` of the reward, all but what was written off.
 * The account is locked.
 */
void
account_reverse(Accounts *accounts, Account *account,
				const ReversedReward *reward, int64 increase)
{
	TouchedReward *touched;
	ReversedReward before = *reward;

	if (increase == 0)
		return;
	credit(accounts, account, &reward->moment, reward->level, EARNING_REVERSED,
		   increase);
	account->reversed_micro += increase;

	/* Who never used anything up has no settlements: most members. */
	if (account->spent_micro == 0 && account->paid_out_micro == 0)
	{
		if (reward->reversed_micro < reward->amount_micro)
			return;
		closing_add(accounts, account, reward->reward_id, CLOSING_REVERSED);
		credit(accounts, account, &reward->moment, reward->level, EARNING_CLOSED, 1);
		return;
	}

	before.reversed_micro -= increase;
	touched = touch(accounts, account, &before);
	touched->reward.reversed_micro = reward->reversed_micro;
	release(accounts, touched);
}

/*
 * Lay up to amount_micro on the open rewards, oldest first; returns what they
 * could not hold.
 */
static int64
lay(Accounts *accounts, Account *account, OpenRewards *open,
	const Settler *settler, int64 amount_micro)
{
	OpenReward *reward;

	while (amount_micro > 0 && (reward = open_rewards_first(open)) != NULL)
	{
		int64		part = Min(amount_micro, reward->left_micro);

		CHECK_FOR_INTERRUPTS();
		(void) settlement_add(accounts, account, reward->reward_id, settler, part);
		reward->left_micro -= part;
		amount_micro -= part;
		if (reward->touched)
		{
			reward->touched->settled_micro += part;
			reward->touched->last_kind = settler->kind;
		}
		else if (reward->left_micro == 0)
		{
			Moment		moment = open_reward_moment(open, reward);

			closing_add(accounts, account, reward->reward_id, settler->kind);
			credit(accounts, account, &moment, reward->level, EARNING_CLOSED, 1);
		}
	}
	return amount_micro;
}

/*
 * How much of what no reward covers the money of adjustments does not cover
 * either.
 */
static int64
owed_by(const Account *account)
{
	return Max(account->uncovered_micro - Max(account->adjusted_micro, 0), 0);
}

/*
 * Lay `owed` of what is uncovered on the open rewards, what was made first
 * before the rest: stored rows, then those of this run.
 */
static void
lay_owed(Accounts *accounts, Account *account, OpenRewards *open, int64 owed)
{
	Books	   *books = accounts->books;
	Table	   *table = books_table(books, TABLE_SETTLEMENT);
	Datum		key[3] = {Int64GetDatum(account->program->program_id),
	Int64GetDatum(account->member_id), Int64GetDatum(0)};

	if (owed == 0 || !open_rewards_first(open))
		return;
	account->is_changed = true;
	for (bool found = table_find(books, table, 3, key);
		 found && owed > 0 && open_rewards_first(open);
		 found = table_find_next(table, 3))
	{
		Settler		settler = settlement_settler(table);
		int64		amount = row_int64(table, SETTLEMENT_AMOUNT_MICRO);
		int64		part = Min(amount, owed);
		int64		laid = part - lay(accounts, account, open, &settler, part);

		settlement_write_amount(books, table, amount - laid);
		account->uncovered_micro -= laid;
		owed -= laid;
	}
	for (int64 i = account->first_uncovered; i >= 0 && owed > 0;
		 i = accounts->rows[i].next_uncovered)
	{
		Settler		settler = accounts->rows[i].settler;
		int64		part = Min(accounts->rows[i].amount_micro, owed);
		int64		laid = part - lay(accounts, account, open, &settler, part);

		accounts->rows[i].amount_micro -= laid;	/* lay() may move the rows */
		account->uncovered_micro -= laid;
		owed -= laid;
	}
}

/*
 * Settle what is owed, then amount_micro for the settler, who may be NULL when
 * there is none.  The account is locked; accounts_flush() writes.
 */
void
account_settle(Accounts *accounts, Account *account, const Settler *settler,
			   int64 amount_micro)
{
	int64		owed = owed_by(account);
	OpenRewards *open;

	if (owed == 0 && amount_micro == 0)
		return;
	open = open_rewards_find(accounts, account, (int128) owed + amount_micro);
	lay_owed(accounts, account, open, owed);
	if (amount_micro > 0)
		amount_micro = lay(accounts, account, open, settler, amount_micro);
	if (amount_micro > 0)
		settlement_add_uncovered(accounts, account, settler, amount_micro);
	open_rewards_end(open);
}

/* Take what the settler laid on one reward away. */
static void
unsettle_reward(Accounts *accounts, Account *account, int64 reward_id,
				const Settler *settler)
{
	Books	   *books = accounts->books;
	Table	   *table = books_table(books, TABLE_REWARD);
	int64		program_id = account->program->program_id;
	Datum		key[2] = {Int64GetDatum(program_id), Int64GetDatum(reward_id)};
	ReversedReward reward = {.reward_id = reward_id};
	TouchedReward *touched;
	bool		isnull;

	if (table_find(books, table, 2, key))
	{
		reward.amount_micro = row_int64(table, REWARD_COLUMN_AMOUNT_MICRO);
		reward.reversed_micro =
			reversal_of(books, program_id, reward_id, reward.amount_micro,
						row_int64(table, REWARD_COLUMN_BASE_MICRO));
		reward.level = DatumGetInt16(row_datum(table, REWARD_COLUMN_LEVEL, &isnull));
		reward.moment = reward_moment(books, account->program, table);
	}
	touched = touch(accounts, account, &reward);
	touched->settled_micro = 0;
	touched->last_kind = CLOSING_NONE;
	for (int i = 0; i < touched->nparts; i++)
	{
		Part	   *part = &touched->parts[i];

		if (same_settler(&part->settler, settler))
			part->amount_micro = 0;
		else
			touched->last_kind = part->settler.kind;
		touched->settled_micro += part->amount_micro;
	}
	if (touched_closing(touched) == CLOSING_NONE && reward_id < account->open_from)
	{
		account->open_from = reward_id;
		account->is_changed = true;
	}
}

/*
 * Take all that a settler settled away; accounts_flush() writes.  The account
 * is locked, and nothing else was done with it in this run.
 */
void
account_unsettle(Accounts *accounts, Account *account, const Settler *settler)
{
	Books	   *books = accounts->books;
	Table	   *table = books_table(books, TABLE_SETTLEMENT);
	Datum		key[2] = {Int64GetDatum(account->program->program_id),
	Int64GetDatum(account->member_id)};
	int64	   *rewards = NULL;
	int64		nrewards = 0;
	int64		size = 0;

	for (bool found = table_find(books, table, 2, key); found;
		 found = table_find_next(table, 2))
	{
		Settler		of_row = settlement_settler(table);
		int64		reward_id = row_int64(table, SETTLEMENT_REWARD_ID);

		CHECK_FOR_INTERRUPTS();
		if (!same_settler(&of_row, settler))
			continue;
		if (reward_id == 0)
		{
			account->uncovered_micro -= row_int64(table, SETTLEMENT_AMOUNT_MICRO);
			account->is_changed = true;
			table_delete(books, table);
		}
		else if (nrewards == 0 || rewards[nrewards - 1] != reward_id)
		{
			rewards = accounts_grow(accounts, rewards, nrewards, &size, sizeof(int64));
			rewards[nrewards++] = reward_id;
		}
	}
	for (int64 i = 0; i < nrewards; i++)
		unsettle_reward(accounts, account, rewards[i], settler);
}

/*
 * Write what became of the stored settlements of a reward, and have its row in
 * reward_closed follow.
 */
static void
write_touched(Accounts *accounts, TouchedReward *touched)
{
	Books	   *books = accounts->books;
	Table	   *table = books_table(books, TABLE_SETTLEMENT);
	Account    *account = touched->account;
	const ReversedReward *reward = &touched->reward;
	Closing		closing = touched_closing(touched);

	for (int i = 0; i < touched->nparts; i++)
	{
		Part	   *part = &touched->parts[i];

		if (part->amount_micro != part->stored_micro &&
			table_fetch(books, table, &part->tid))
			settlement_write_amount(books, table, part->amount_micro);
	}
	if (closing == touched->stored)
		return;
	if (touched->stored != CLOSING_NONE)
		closing_delete(accounts, account, reward->reward_id, touched->stored);
	if (closing != CLOSING_NONE)
		closing_add(accounts, account, reward->reward_id, closing);
	credit(accounts, account, &reward->moment, reward->level, EARNING_CLOSED,
		   (closing != CLOSING_NONE) - (touched->stored != CLOSING_NONE));
}

/*
 * Settle what is owed where refunds took settlements back, and write all that
 * the run gathered; counters_flush() comes after.
 */
void
accounts_flush(Accounts *accounts)
{
	for (Account *account = accounts->released; account;
		 account = account->next_released)
		account_settle(accounts, account, NULL, 0);

	if (accounts->touched)
	{
		TouchedEntry *entry;
		touched_iterator iterator;

		touched_start_iterate(accounts->touched, &iterator);
		while ((entry = touched_iterate(accounts->touched, &iterator)) != NULL)
		{
			CHECK_FOR_INTERRUPTS();
			write_touched(accounts, entry->touched);
		}
	}
	settlement_write_rows(accounts);
	accounts_write(accounts);
}
