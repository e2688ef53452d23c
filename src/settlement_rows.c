/*
 * settlement_rows.c
 *	  Rows of settlement and reward_closed, read and written.
 *
 * New rows are gathered over a run and written at its end, many at a time, in
 * the order of their primary keys.
 */
#include "settlement_rows.h"

#include "commands/sequence.h"
#include "miscadmin.h"
#include "money.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* Column numbers of sql/model/070_settlement.sql. */
enum
{
	REWARD_CLOSED_PROGRAM_ID = 1,
	REWARD_CLOSED_MEMBER_ID,
	REWARD_CLOSED_STATUS,
	REWARD_CLOSED_REWARD_ID
};

static const char *const closing_name[NCLOSINGS] = {"", "paid_out", "reversed", "spent"};

static Datum
closing_text(Accounts *accounts, Closing closing)
{
	if (accounts->closing_text[closing] == 0)
	{
		MemoryContext old = MemoryContextSwitchTo(accounts->books->context);

		accounts->closing_text[closing] = CStringGetTextDatum(closing_name[closing]);
		MemoryContextSwitchTo(old);
	}
	return accounts->closing_text[closing];
}

/*
 * Return whose settlement it is that was found last.
 */
Settler
settlement_settler(Table *table)
{
	bool		isnull;
	text	   *kind = DatumGetTextPP(row_datum(table, SETTLEMENT_KIND, &isnull));
	const char *paid_out = closing_name[CLOSING_PAID_OUT];
	Settler		settler = {CLOSING_SPENT, row_int64(table, SETTLEMENT_SETTLER_NO)};

	if (VARSIZE_ANY_EXHDR(kind) == strlen(paid_out) &&
		memcmp(VARDATA_ANY(kind), paid_out, strlen(paid_out)) == 0)
		settler.kind = CLOSING_PAID_OUT;
	return settler;
}

/*
 * Gather a new row of settlement and number it; returns its index.
 */
int64
settlement_add(Accounts *accounts, const Account *account, int64 reward_id,
			   const Settler *settler, int64 amount_micro)
{
	NewSettlement *row;

	if (!OidIsValid(accounts->settlement_seq))
		accounts->settlement_seq = get_relname_relid("settlement_no_seq",
													 accounts->books->namespace);
	accounts->rows = accounts_grow(accounts, accounts->rows, accounts->nrows,
								   &accounts->rows_size, sizeof(NewSettlement));
	row = &accounts->rows[accounts->nrows];
	row->account = account;
	row->reward_id = reward_id;
	row->settlement_no = nextval_internal(accounts->settlement_seq, false);
	row->amount_micro = amount_micro;
	row->settler = *settler;
	row->next_uncovered = -1;
	return accounts->nrows++;
}

/*
 * Gather a row for what no reward covers of what the settler took.
 */
void
settlement_add_uncovered(Accounts *accounts, Account *account,
						 const Settler *settler, int64 amount_micro)
{
	int64		row = settlement_add(accounts, account, 0, settler, amount_micro);

	if (account->first_uncovered < 0)
		account->first_uncovered = row;
	else
		accounts->rows[account->last_uncovered].next_uncovered = row;
	account->last_uncovered = row;
	account->uncovered_micro = money_add(account->uncovered_micro, amount_micro);
	account->is_changed = true;
}

/*
 * Have the settlement found last keep that amount, or go where it is 0.
 */
void
settlement_write_amount(Books *books, Table *table, int64 amount_micro)
{
	if (amount_micro == 0)
	{
		table_delete(books, table);
		return;
	}
	table_begin_update(books, table);
	next_set(table, SETTLEMENT_AMOUNT_MICRO, Int64GetDatum(amount_micro));
	(void) table_update(books, table, true);
}

/*
 * Gather a row of reward_closed.
 */
void
closing_add(Accounts *accounts, const Account *account, int64 reward_id,
			Closing status)
{
	accounts->closings = accounts_grow(accounts, accounts->closings,
									   accounts->nclosings,
									   &accounts->closings_size,
									   sizeof(NewClosing));
	accounts->closings[accounts->nclosings++] =
		(NewClosing) {account, reward_id, status};
}

/*
 * Delete a row of reward_closed.
 */
void
closing_delete(Accounts *accounts, const Account *account, int64 reward_id,
			   Closing status)
{
	Table	   *table = books_table(accounts->books, TABLE_REWARD_CLOSED);
	Datum		key[4] = {Int64GetDatum(account->program->program_id),
		Int64GetDatum(account->member_id), closing_text(accounts, status),
	Int64GetDatum(reward_id)};

	if (table_find(accounts->books, table, 4, key))
		table_delete(accounts->books, table);
}

static int
compare_members(const Account *x, const Account *y)
{
	if (x->program->program_id != y->program->program_id)
		return x->program->program_id < y->program->program_id ? -1 : 1;
	return (x->member_id > y->member_id) - (x->member_id < y->member_id);
}

static int
compare_rows(const void *a, const void *b)
{
	const NewSettlement *x = a;
	const NewSettlement *y = b;

	if (x->account != y->account)
		return compare_members(x->account, y->account);
	if (x->reward_id != y->reward_id)
		return x->reward_id < y->reward_id ? -1 : 1;
	return (x->settlement_no > y->settlement_no) - (x->settlement_no < y->settlement_no);
}

static int
compare_closings(const void *a, const void *b)
{
	const NewClosing *x = a;
	const NewClosing *y = b;

	if (x->account != y->account)
		return compare_members(x->account, y->account);
	if (x->status != y->status)
		return x->status < y->status ? -1 : 1;
	return (x->reward_id > y->reward_id) - (x->reward_id < y->reward_id);
}

static void
write_settlements(Accounts *accounts)
{
	RowBatch   *batch = batch_begin(accounts->books, TABLE_SETTLEMENT);

	qsort(accounts->rows, accounts->nrows, sizeof(NewSettlement), compare_rows);
	for (int64 i = 0; i < accounts->nrows; i++)
	{
		const NewSettlement *row = &accounts->rows[i];
		TupleTableSlot *slot;

		CHECK_FOR_INTERRUPTS();
		if (row->amount_micro == 0)
			continue;
		slot = batch_row(batch);
		slot_set(slot, SETTLEMENT_PROGRAM_ID, Int64GetDatum(row->account->program->program_id));
		slot_set(slot, SETTLEMENT_MEMBER_ID, Int64GetDatum(row->account->member_id));
		slot_set(slot, SETTLEMENT_REWARD_ID, Int64GetDatum(row->reward_id));
		slot_set(slot, SETTLEMENT_SETTLEMENT_NO, Int64GetDatum(row->settlement_no));
		slot_set(slot, SETTLEMENT_AMOUNT_MICRO, Int64GetDatum(row->amount_micro));
		slot_set(slot, SETTLEMENT_SETTLER_NO, Int64GetDatum(row->settler.no));
		slot_set(slot, SETTLEMENT_KIND, closing_text(accounts, row->settler.kind));
	}
	batch_end(batch);
}

static void
write_closings(Accounts *accounts)
{
	RowBatch   *batch = batch_begin(accounts->books, TABLE_REWARD_CLOSED);

	qsort(accounts->closings, accounts->nclosings, sizeof(NewClosing), compare_closings);
	for (int64 i = 0; i < accounts->nclosings; i++)
	{
		const NewClosing *closing = &accounts->closings[i];
		TupleTableSlot *slot = batch_row(batch);

		CHECK_FOR_INTERRUPTS();
		slot_set(slot, REWARD_CLOSED_PROGRAM_ID, Int64GetDatum(closing->account->program->program_id));
		slot_set(slot, REWARD_CLOSED_MEMBER_ID, Int64GetDatum(closing->account->member_id));
		slot_set(slot, REWARD_CLOSED_STATUS, closing_text(accounts, closing->status));
		slot_set(slot, REWARD_CLOSED_REWARD_ID, Int64GetDatum(closing->reward_id));
	}
	batch_end(batch);
}

/*
 * Write what was gathered; nothing is gathered after that.
 */
void
settlement_write_rows(Accounts *accounts)
{
	if (accounts->nrows > 0)
		write_settlements(accounts);
	if (accounts->nclosings > 0)
		write_closings(accounts);
}
