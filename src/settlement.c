/*
 * settlement.c
 *	  Members' accounts, and which rewards spends and payouts used up.
 */
#include "settlement.h"

struct Account
{
	int64		member_id;
};

struct Accounts
{
	Books	   *books;
};

Accounts *
accounts_begin(Books *books, Counters *counters)
{
	return MemoryContextAllocZero(books->context, sizeof(Accounts));
}

Account *
account_find(Accounts *accounts, const Program *program, int64 member_id)
{
	return NULL;
}

bool
accounts_lock(Accounts *accounts)
{
	return false;
}

int64
account_left(Accounts *accounts, Account *account)
{
	return 0;
}

void
account_reverse(Accounts *accounts, Account *account,
				const ReversedReward *reward, int64 increase)
{
}

void
accounts_flush(Accounts *accounts)
{
}
