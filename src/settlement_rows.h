/*
 * settlement_rows.h
 *	  Rows of settlement and reward_closed, read and written.
 */
#ifndef REFERRAL_SETTLEMENT_ROWS_H
#define REFERRAL_SETTLEMENT_ROWS_H

#include "account.h"

/* Column numbers of sql/model/070_settlement.sql. */
enum
{
	SETTLEMENT_PROGRAM_ID = 1,
	SETTLEMENT_MEMBER_ID,
	SETTLEMENT_REWARD_ID,
	SETTLEMENT_SETTLEMENT_NO,
	SETTLEMENT_AMOUNT_MICRO,
	SETTLEMENT_SETTLER_NO,
	SETTLEMENT_KIND
};

extern Settler settlement_settler(Table *table);
extern int64 settlement_add(Accounts *accounts, const Account *account,
							int64 reward_id, const Settler *settler,
							int64 amount_micro);
extern void settlement_add_uncovered(Accounts *accounts, Account *account,
									 const Settler *settler,
									 int64 amount_micro);
extern void settlement_write_amount(Books *books, Table *table,
									int64 amount_micro);
extern void closing_add(Accounts *accounts, const Account *account,
						int64 reward_id, Closing status);
extern void closing_delete(Accounts *accounts, const Account *account,
						   int64 reward_id, Closing status);
extern void settlement_write_rows(Accounts *accounts);

#endif							/* REFERRAL_SETTLEMENT_ROWS_H */
