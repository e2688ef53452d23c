/*
 * account.c
 *	  Members' accounts: their rows, locked, and what a member still has.
 *
 * Who needs a member's sum exact (a refund of his reward, a spend, a payout)
 * locks the row of his account; earnings go on meanwhile, for they only add.
 * Rows are locked in one order for all sessions, (program, member), and read
 * anew under the lock.
 */
#include "account.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/memutils.h"

typedef struct AccountKey
{
	int64		program_id;
	int64		member_id;
} AccountKey;

typedef struct AccountEntry
{
	AccountKey	key;
	char		status;
	Account    *account;
} AccountEntry;

#define SH_PREFIX account
#define SH_ELEMENT_TYPE AccountEntry
#define SH_KEY_TYPE AccountKey
#define SH_KEY key
#define SH_HASH_KEY(tb, k) murmurhash32((uint32) (k).member_id ^ (uint32) ((k).member_id >> 32) ^ (uint32) (k).program_id * 0x9E3779B1)
#define SH_EQUAL(tb, a, b) ((a).member_id == (b).member_id && (a).program_id == (b).program_id)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/*
 * Begin a run with no account known yet; everything lives in the run's memory.
 */
Accounts *
accounts_begin(Books *books, Counters *counters)
{
	Accounts   *accounts = MemoryContextAllocZero(books->context,
												  sizeof(Accounts));

	accounts->books = books;
	accounts->counters = counters;
	accounts->known = account_create(books->context, 4, NULL);
	return accounts;
}

/*
 * Make room in an array of the run for one more than its n elements; returns
 * the array, which may have moved.
 */
void *
accounts_grow(Accounts *accounts, void *array, int64 n, int64 *size,
			  Size element)
{
	if (n < *size)
		return array;
	*size = Max(16, 2 * n);
	return array ? repalloc_huge(array, *size * element)
		: MemoryContextAllocHuge(accounts->books->context, *size * element);
}

/*
 * Return this run's account of a member, which accounts_lock() will lock.
 */
Account *
account_find(Accounts *accounts, const Program *program, int64 member_id)
{
	AccountKey	key = {program->program_id, member_id};
	AccountEntry *entry;
	Account    *account;
	bool		found;

	entry = account_insert(accounts->known, key, &found);
	if (found)
		return entry->account;

	account = MemoryContextAllocZero(accounts->books->context, sizeof(Account));
	account->program = program;
	account->member_id = member_id;
	account->first_uncovered = account->last_uncovered = -1;
	entry->account = account;

	accounts->wanted = accounts_grow(accounts, accounts->wanted,
									 accounts->nwanted, &accounts->wanted_size,
									 sizeof(Account *));
	accounts->wanted[accounts->nwanted++] = account;
	return account;
}

static int
compare_accounts(const void *a, const void *b)
{
	const Account *x = *(Account *const *) a;
	const Account *y = *(Account *const *) b;

	if (x->program->program_id != y->program->program_id)
		return x->program->program_id < y->program->program_id ? -1 : 1;
	return (x->member_id > y->member_id) - (x->member_id < y->member_id);
}

/* The locked row of the account is in table->row. */
static void
read_account(Account *account, Table *table)
{
	account->is_there = true;
	account->is_locked = true;
	account->tid = table->row->tts_tid;
	account->spent_micro = row_int64(table, ACCOUNT_SPENT_MICRO);
	account->paid_out_micro = row_int64(table, ACCOUNT_PAID_OUT_MICRO);
	account->reserved_micro = row_int64(table, ACCOUNT_RESERVED_MICRO);
	account->adjusted_micro = row_int64(table, ACCOUNT_ADJUSTED_MICRO);
	account->open_from = row_int64(table, ACCOUNT_OPEN_FROM);
	account->uncovered_micro = row_int64(table, ACCOUNT_UNCOVERED_MICRO);
}

/*
 * Lock the rows of all accounts found since the last call, and read them.
 * Returns whether there were any; the caller then refreshes the books.  Where
 * the row is missing, in damaged books, the account stays empty.
 */
bool
accounts_lock(Accounts *accounts)
{
	Table	   *table = books_table(accounts->books, TABLE_ACCOUNT);

	if (accounts->nwanted == 0)
		return false;
	qsort(accounts->wanted, accounts->nwanted, sizeof(Account *), compare_accounts);
	for (int64 i = 0; i < accounts->nwanted; i++)
	{
		Account    *account = accounts->wanted[i];
		Datum		key[2] = {Int64GetDatum(account->program->program_id),
		Int64GetDatum(account->member_id)};

		CHECK_FOR_INTERRUPTS();
		if (!table_find_any(accounts->books, table, 2, key))
			continue;
		table_lock(accounts->books, table);
		read_account(account, table);
	}
	accounts->nwanted = 0;
	return true;
}

/* What the member earned, net of reversals, that is available at `now`. */
static int128
sum_earned(Accounts *accounts, const Account *account, TimestampTz now)
{
	Table	   *table = books_table(accounts->books, TABLE_EARNING);
	Datum		key[2] = {Int64GetDatum(account->program->program_id),
	Int64GetDatum(account->member_id)};
	int128		sum = 0;

	for (bool found = table_find(accounts->books, table, 2, key); found;
		 found = table_find_next(table, 2))
	{
		CHECK_FOR_INTERRUPTS();
		if (row_int64(table, EARNING_COLUMN_AVAILABLE_AT) > now)
			break;				/* they come in the order of available_at */
		sum += row_int64(table, EARNING_COLUMN_AMOUNT_MICRO);
		sum -= row_int64(table, EARNING_COLUMN_REVERSED_MICRO);
	}
	return sum;
}

/* What of `earned` the member still has. */
static int128
less_used(const Account *account, int128 earned)
{
	return earned + account->adjusted_micro - account->spent_micro -
		account->paid_out_micro - account->reserved_micro;
}

/*
 * Return what the member still has, pending included, as of the last refresh
 * and less what this run reversed; 0 when it is less than nothing.  The account
 * is locked.
 */
int64
account_left(Accounts *accounts, Account *account)
{
	int128		left;

	if (!account->is_summed)
	{
		account->earned_micro = sum_earned(accounts, account, DT_NOEND);
		account->is_summed = true;
	}
	left = less_used(account, account->earned_micro - account->reversed_micro);
	return (int64) Min(Max(left, 0), PG_INT64_MAX);
}

/*
 * Return the member's available balance at `now`, which may be below zero; one
 * beyond bigint is its end.  The account is locked.
 */
int64
account_available(Accounts *accounts, Account *account, TimestampTz now)
{
	int128		available = less_used(account, sum_earned(accounts, account, now));

	return (int64) Min(Max(available, PG_INT64_MIN), PG_INT64_MAX);
}

/* Write what the run made of the account's row. */
static void
write_account(Accounts *accounts, const Account *account)
{
	Table	   *table = books_table(accounts->books, TABLE_ACCOUNT);

	if (!table_fetch(accounts->books, table, (ItemPointer) &account->tid))
		return;
	table_begin_update(accounts->books, table);
	next_set(table, ACCOUNT_OPEN_FROM, Int64GetDatum(account->open_from));
	next_set(table, ACCOUNT_UNCOVERED_MICRO, Int64GetDatum(account->uncovered_micro));
	(void) table_update(accounts->books, table, true);
}

/*
 * Write the rows of all accounts that the run changed.
 */
void
accounts_write(Accounts *accounts)
{
	AccountEntry *entry;
	account_iterator iterator;

	account_start_iterate(accounts->known, &iterator);
	while ((entry = account_iterate(accounts->known, &iterator)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (entry->account->is_changed && entry->account->is_there)
			write_account(accounts, entry->account);
	}
}
