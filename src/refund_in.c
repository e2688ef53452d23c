/*
 * refund_in.c
 *	  The engine of refunds: money goes back, rewards are reversed.
 *
 * Called once per statement that inserted into referral.refund, in its
 * transaction, with all its refunds; also for refunds that waited, once their
 * payments are there.  A run goes over them three times:
 *
 * - first it checks every refund and finds the payments, which it locks: what
 *	 was given back of one is exact;
 * - then it locks the accounts of everybody whom those payments rewarded: what
 *	 he still has is exact, and whatever takes from a member waits its turn;
 * - then it takes the refunds one by one, in the statement's order, each as if
 *	 it had come alone: take_refund() is section 4 of the contract.
 *
 * Locks are taken payments before accounts, each in the order of their numbers,
 * so statements cannot deadlock with each other.
 */
#include "refund_in.h"

#include "events.h"
#include "intake.h"
#include "miscadmin.h"
#include "money.h"
#include "refunds.h"
#include "reversal.h"
#include "settlement.h"
#include "text_key.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Column numbers of sql/model/030_payment.sql and 060_refund.sql. */
enum
{
	PAYMENT_USER_ID = 3,
	PAYMENT_AMOUNT_MICRO = 4,
	PAYMENT_BASE_MICRO = 5,
	PAYMENT_OCCURRED_AT = 7,
	PAYMENT_PAYMENT_NO = 8,
	PAYMENT_TAKEN_IN = 9,

	REWARD_REWARD_ID = 2,
	REWARD_MEMBER_ID = 3,
	REWARD_BASE_MICRO = 5,
	REWARD_AMOUNT_MICRO = 6,
	REWARD_AVAILABLE_AT = 8,
	REWARD_LEVEL = 12,

	REFUND_WAITING_AMOUNT_MICRO = 4
};

/* A payment of which something is given back. */
typedef struct Paid
{
	const Program *program;
	bool		is_there;		/* and the engine has processed it */
	bool		is_in_review;	/* it waits itself; its refunds do, too */
	bool		has_rewards;
	int64		payment_no;
	int64		base_micro;
	int64		refunded_micro; /* in all, this run included */
	TimestampTz occurred_at;
	int64	   *written_off;	/* by level, of this run; NULL = nothing */
	ItemPointerData tid;
} Paid;

typedef struct PaidEntry
{
	TextKey		key;
	uint32		hash;
	char		status;
	Paid	   *paid;
} PaidEntry;

#define SH_PREFIX paids
#define SH_ELEMENT_TYPE PaidEntry
#define SH_KEY_TYPE TextKey
#define SH_KEY key
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a) (a)->hash
#define SH_HASH_KEY(tb, k) hash_text_key(&(k))
#define SH_EQUAL(tb, a, b) equal_text_keys(&(a), &(b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

typedef struct Run
{
	Books	   *books;
	RefundSource *source;
	Counters   *counters;
	Accounts   *accounts;
	Payers	   *payers;
	RowBatch   *applied;
	Events	   *events;
	paids_hash *paids;
	Paid	  **to_lock;		/* those that are there */
	int			nto_lock;
	int			to_lock_size;
	int64		napplied;
} Run;

/*
 * A payment of a statement that is still running may have come to the table,
 * but not yet to the engine.
 */
static bool
is_processed(Run *run, Table *payment)
{
	bool		isnull;

	if (!DatumGetBool(row_datum(payment, PAYMENT_TAKEN_IN, &isnull)))
		return false;
	return run->source->payments || !intake_is_raised(INTAKE_PAYMENTS) ||
		!table_row_is_ours(payment);
}

static void
read_payment(Run *run, Paid *paid, Table *payment)
{
	paid->is_there = true;
	paid->payment_no = row_int64(payment, PAYMENT_PAYMENT_NO);
	paid->base_micro = row_int64(payment, row_is_null(payment, PAYMENT_BASE_MICRO)
								 ? PAYMENT_AMOUNT_MICRO : PAYMENT_BASE_MICRO);
	paid->occurred_at = row_int64(payment, PAYMENT_OCCURRED_AT);
	paid->tid = payment->row->tts_tid;

	if (run->nto_lock == run->to_lock_size)
	{
		run->to_lock_size = run->to_lock_size ? 2 * run->to_lock_size : 8;
		run->to_lock = run->to_lock
			? repalloc_huge(run->to_lock, run->to_lock_size * sizeof(Paid *))
			: MemoryContextAlloc(run->books->context, run->to_lock_size * sizeof(Paid *));
	}
	run->to_lock[run->nto_lock++] = paid;
}

/* The payment that a refund names; owned by the run. */
static Paid *
paid_of(Run *run, const Refund *refund)
{
	Books	   *books = run->books;
	TextKey		key = text_key(refund->program->program_id,
							   DatumGetTextPP(refund->payment_id));
	PaidEntry  *entry = paids_lookup(run->paids, key);
	Table	   *payment;
	Datum		datum[2] = {Int64GetDatum(key.program_id), refund->payment_id};
	char	   *copy;
	Paid	   *paid;
	bool		found;

	if (entry)
		return entry->paid;

	paid = MemoryContextAllocZero(books->context, sizeof(Paid) + key.length);
	paid->program = refund->program;
	copy = (char *) (paid + 1);
	memcpy(copy, key.text, key.length);
	key.text = copy;
	payment = books_table(books, TABLE_PAYMENT);
	if (table_find(books, payment, 2, datum) && is_processed(run, payment))
		read_payment(run, paid, payment);

	entry = paids_insert(run->paids, key, &found);
	entry->paid = paid;
	return paid;
}

static int
compare_paids(const void *a, const void *b)
{
	const Paid *x = *(Paid *const *) a;
	const Paid *y = *(Paid *const *) b;

	if (x->program->program_id != y->program->program_id)
		return x->program->program_id < y->program->program_id ? -1 : 1;
	return (x->payment_no > y->payment_no) - (x->payment_no < y->payment_no);
}

/* Fetch a payment that this run found; payments are never deleted. */
static Table *
fetch_payment(Run *run, Paid *paid)
{
	Table	   *payment = books_table(run->books, TABLE_PAYMENT);

	if (!table_fetch(run->books, payment, &paid->tid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("payment vanished while a refund needed it")));
	return payment;
}

static void
lock_payments(Run *run)
{
	if (run->nto_lock > 1)
		qsort(run->to_lock, run->nto_lock, sizeof(Paid *), compare_paids);
	for (int i = 0; i < run->nto_lock; i++)
	{
		Table	   *payment;

		CHECK_FOR_INTERRUPTS();
		payment = fetch_payment(run, run->to_lock[i]);
		table_lock(run->books, payment);

		/* It has a new number if it waited for a review that is over now. */
		run->to_lock[i]->payment_no = row_int64(payment, PAYMENT_PAYMENT_NO);
		run->to_lock[i]->tid = payment->row->tts_tid;
	}
	if (run->nto_lock > 0)
		books_refresh(run->books);
}

/*
 * Find the first reward of a payment, level by level; then table_find_range_next().
 */
static bool
find_reward(Run *run, const Paid *paid)
{
	Datum		key = Int64GetDatum(paid->program->program_id);

	return table_find_range(run->books, books_table(run->books, TABLE_REWARD), 1,
							&key, REWARD_ID(paid->payment_no, 0),
							REWARD_ID(paid->payment_no, REFERRAL_MAX_LEVEL));
}

/* Does the payment, which earned nothing, wait for its payer's review? */
static bool
is_in_review(Run *run, Paid *paid)
{
	Table	   *payment = fetch_payment(run, paid);
	bool		isnull;
	Payer	   *payer = payer_find(run->payers, paid->program,
								   row_datum(payment, PAYMENT_USER_ID, &isnull));
	Datum		key[4] = {Int64GetDatum(paid->program->program_id),
		Int64GetDatum(payer->member_id),
		TimestampTzGetDatum(paid->occurred_at),
	Int64GetDatum(paid->payment_no)};

	return payer->attributed && payer->decision == DECISION_REVIEW_REQUIRED &&
		table_find(run->books, books_table(run->books, TABLE_PAYMENT_WAITING), 4, key);
}

/*
 * What will be given back of a payment in review by the refunds that wait
 * already.  One that came before it and does not fit will not be applied.
 */
static int64
waiting_micro(Run *run, TextKey key, int64 base_micro)
{
	Table	   *table = books_table(run->books, TABLE_REFUND_WAITING);
	Datum		datum[2] = {Int64GetDatum(key.program_id),
	PointerGetDatum(cstring_to_text_with_len(key.text, key.length))};
	int64		sum = 0;

	for (bool found = table_find(run->books, table, 2, datum); found;
		 found = table_find_next(table, 2))
	{
		int64		amount_micro = row_int64(table, REFUND_WAITING_AMOUNT_MICRO);

		CHECK_FOR_INTERRUPTS();
		if (amount_micro <= base_micro - sum)
			sum += amount_micro;
	}
	return sum;
}

/* The payments are locked: read how they stand, and lock whom they rewarded. */
static void
lock_accounts(Run *run)
{
	Table	   *reward = books_table(run->books, TABLE_REWARD);
	paids_iterator iterator;
	PaidEntry  *entry;

	for (int i = 0; i < run->nto_lock; i++)
	{
		Paid	   *paid = run->to_lock[i];

		CHECK_FOR_INTERRUPTS();
		for (bool found = find_reward(run, paid); found;
			 found = table_find_range_next(reward))
		{
			paid->has_rewards = true;
			(void) account_find(run->accounts, paid->program,
								row_int64(reward, REWARD_MEMBER_ID));
		}
		paid->refunded_micro = reversal_refunded(run->books, paid->program->program_id,
												 paid->payment_no);
		paid->is_in_review = !paid->has_rewards && is_in_review(run, paid);
	}
	if (accounts_lock(run->accounts))
		books_refresh(run->books);

	paids_start_iterate(run->paids, &iterator);
	while ((entry = paids_iterate(run->paids, &iterator)) != NULL)
	{
		if (entry->paid->is_in_review)
			entry->paid->refunded_micro = waiting_micro(run, entry->key,
														entry->paid->base_micro);
	}
}

/* CONTRACT section 4: more would be given back than the payment's base. */
static bool
fits(const Paid *paid, const Refund *refund)
{
	return refund->amount_micro <= paid->base_micro - paid->refunded_micro;
}

static void
check_fit(const Paid *paid, const Refund *refund)
{
	if (!fits(paid, refund))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("refunds exceed the payment"),
				 errdetail("Refund \"%s\" of %lld: payment \"%s\" has base %lld, of which %lld were given back.",
						   TextDatumGetCString(refund->refund_id),
						   (long long) refund->amount_micro,
						   TextDatumGetCString(refund->payment_id),
						   (long long) paid->base_micro,
						   (long long) paid->refunded_micro),
				 errhint("Amounts of refunds are in units of the payment's base.")));
}

static void
keep_waiting(Run *run, const Refund *refund)
{
	Table	   *table = books_table(run->books, TABLE_REFUND_WAITING);

	table_begin_row(run->books, table);
	next_set(table, 1, Int64GetDatum(refund->program->program_id));
	next_set(table, 2, refund->payment_id);
	next_set(table, 3, Int64GetDatum(refund->refund_no));
	next_set(table, 4, Int64GetDatum(refund->amount_micro));
	next_set(table, 5, refund->refund_id);
	table_insert(run->books, table);
	table_announce(table);
}

static void
note_applied(Run *run, const Paid *paid, const Refund *refund, int64 total_micro)
{
	TupleTableSlot *row = batch_row(run->applied);
	MemoryContext old = MemoryContextSwitchTo(run->applied->context);

	slot_set(row, 1, Int64GetDatum(paid->program->program_id));
	slot_set(row, 2, Int64GetDatum(paid->payment_no));
	slot_set(row, 3, Int64GetDatum(total_micro));
	slot_set(row, 4, Int64GetDatum(refund->refund_no));
	slot_set(row, 5, TimestampTzGetDatum(run->books->now));
	slot_set(row, 6, datumCopy(refund->refund_id, false, -1));
	MemoryContextSwitchTo(old);
	run->napplied++;
}

static void
write_off(Run *run, Paid *paid, int64 reward_id, int level, int64 total_micro,
		  int64 amount_micro)
{
	Table	   *table = books_table(run->books, TABLE_WRITE_OFF);

	table_begin_row(run->books, table);
	next_set(table, 1, Int64GetDatum(paid->program->program_id));
	next_set(table, 2, Int64GetDatum(reward_id));
	next_set(table, 3, Int64GetDatum(total_micro));
	next_set(table, 4, Int64GetDatum(amount_micro));
	next_set(table, 5, TimestampTzGetDatum(run->books->now));
	table_insert(run->books, table);

	/* The run does not see the row, should it come to this reward again. */
	if (!paid->written_off)
		paid->written_off = MemoryContextAllocZero(run->books->context,
												   (REFERRAL_MAX_LEVEL + 1) * sizeof(int64));
	paid->written_off[level] += amount_micro;
}

/*
 * CONTRACT section 4, debt_policy: how much of the increase may be taken back.
 */
static int64
may_reverse(Run *run, const Paid *paid, Account *account, int64 increase,
			TimestampTz available_at)
{
	switch (paid->program->debt_policy)
	{
		case DEBT_WITHIN_BALANCE:
			return Min(increase, account_left(run->accounts, account));
		case DEBT_ONLY_PENDING:
			return available_at > GetCurrentStatementStartTimestamp() ? increase : 0;
		default:
			return increase;
	}
}

/*
 * What was given back of the payment has risen to total_micro: take its part of
 * the reward in the current row of table reward.
 */
static void
reverse_reward(Run *run, Paid *paid, Table *reward, int64 total_micro)
{
	const Program *program = paid->program;
	int64		base = row_int64(reward, REWARD_BASE_MICRO);
	bool		isnull;
	ReversedReward reversed = {
		.reward_id = row_int64(reward, REWARD_REWARD_ID),
		.amount_micro = row_int64(reward, REWARD_AMOUNT_MICRO),
		.level = DatumGetInt16(row_datum(reward, REWARD_LEVEL, &isnull)),
		.moment = calendar_moment_of_reward(paid->occurred_at,
											row_int64(reward, REWARD_AVAILABLE_AT),
											program->zone, run->books->now)
	};
	Account    *account = account_find(run->accounts, program,
									   row_int64(reward, REWARD_MEMBER_ID));
	int64		target = money_reversal(reversed.amount_micro, total_micro, base);
	int64		increase = target -
	money_reversal(reversed.amount_micro, paid->refunded_micro, base);
	int64		taken;
	int64		written_off;

	if (increase == 0)
		return;
	taken = may_reverse(run, paid, account, increase, reversed.moment.available_at);
	if (taken < increase)
		write_off(run, paid, reversed.reward_id, reversed.level, total_micro,
				  increase - taken);
	written_off = reversal_written_off(run->books, program->program_id, reversed.reward_id);
	if (paid->written_off)
		written_off += paid->written_off[reversed.level];
	reversed.reversed_micro = target - written_off;
	account_reverse(run->accounts, account, &reversed, taken);
	if (taken > 0)
		events_add(run->events, program, "reward_reversed", reversed.reward_id,
				   taken, NULL);
}

/*
 * One refund: CONTRACT section 4.
 */
static void
take_refund(Run *run, const Refund *refund)
{
	Paid	   *paid = paid_of(run, refund);
	bool		waited = ItemPointerIsValid(&refund->waits_at);
	Table	   *reward = books_table(run->books, TABLE_REWARD);
	int64		total_micro;

	if (!paid->is_there || paid->is_in_review)
	{
		if (waited)
			return;
		if (paid->is_in_review)
		{
			check_fit(paid, refund);
			paid->refunded_micro += refund->amount_micro;
		}
		keep_waiting(run, refund);
		return;
	}
	if (waited && !fits(paid, refund))
		return;
	check_fit(paid, refund);

	total_micro = paid->refunded_micro + refund->amount_micro;
	note_applied(run, paid, refund, total_micro);
	if (paid->has_rewards)
	{
		for (bool found = find_reward(run, paid); found;
			 found = table_find_range_next(reward))
			reverse_reward(run, paid, reward, total_micro);
	}
	paid->refunded_micro = total_micro;
	if (waited)
	{
		Table	   *table = books_table(run->books, TABLE_REFUND_WAITING);
		ItemPointerData tid = refund->waits_at;

		if (table_fetch(run->books, table, &tid))
			table_delete(run->books, table);
	}
}

static Run *
run_begin(Oid namespace, RefundSource *source)
{
	Books	   *books;
	Run		   *run;

	program_cache_begin();
	books = books_open(namespace);
	run = MemoryContextAllocZero(books->context, sizeof(Run));
	run->books = books;
	run->source = source;
	run->counters = counters_begin(books);
	run->accounts = accounts_begin(books, run->counters);
	run->payers = payers_begin(books);
	run->applied = batch_begin(books, TABLE_REFUND_APPLIED);
	run->events = events_begin(books);
	run->paids = paids_create(books->context, 8, NULL);
	refunds_begin(source, books);
	return run;
}

/* The three passes over the refunds, see the head of this file. */
static int64
run_over(Run *run)
{
	RefundSource *source = run->source;
	Refund		refund;
	int64		napplied;

	refunds_rewind(source);
	while (refunds_next(source, &refund))
		(void) paid_of(run, &refund);
	lock_payments(run);
	lock_accounts(run);

	refunds_rewind(source);
	while (refunds_next(source, &refund))
		take_refund(run, &refund);

	batch_end(run->applied);
	events_end(run->events);
	accounts_flush(run->accounts);
	counters_flush(run->counters);
	napplied = run->napplied;
	books_close(run->books);
	return napplied;
}

PG_FUNCTION_INFO_V1(referral_refund_before);

/*
 * BEFORE INSERT statement trigger of refund.
 */
Datum
referral_refund_before(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = intake_trigger(fcinfo, TABLE_REFUND, false);

	intake_begin(INTAKE_REFUNDS, trigger->tg_relation, "refund_after");
	return PointerGetDatum(NULL);
}

PG_FUNCTION_INFO_V1(referral_refund_after);

/*
 * AFTER INSERT statement trigger of refund, with its rows as new table.
 */
Datum
referral_refund_after(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = intake_trigger(fcinfo, TABLE_REFUND, true);
	RefundSource source = {.payments = NULL};

	intake_lower(INTAKE_REFUNDS);
	if (tuplestore_tuple_count(trigger->tg_newtable) == 0)
		return PointerGetDatum(NULL);

	intake_rows_of(&source.in, trigger);
	(void) run_over(run_begin(RelationGetNamespace(trigger->tg_relation), &source));
	ExecDropSingleTupleTableSlot(source.in.slot);
	return PointerGetDatum(NULL);
}

PG_FUNCTION_INFO_V1(referral_take_in_refunds);

/*
 * take_in_refunds(program_id, refund_ids): refunds that the engine has not seen.
 */
Datum
referral_take_in_refunds(PG_FUNCTION_ARGS)
{
	RefundSource source = {.payments = NULL};
	Run		   *run;

	intake_ids(&source.in, PG_GETARG_INT64(0), PG_GETARG_ARRAYTYPE_P(1));
	run = run_begin(get_func_namespace(fcinfo->flinfo->fn_oid), &source);
	intake_claim(&source.in, false, InvalidAttrNumber, NULL);
	(void) run_over(run);
	PG_RETURN_INT64(source.in.nids);
}

PG_FUNCTION_INFO_V1(referral_apply_waiting);

/*
 * apply_waiting(program_id, payment_ids): refunds that wait for these payments.
 */
Datum
referral_apply_waiting(PG_FUNCTION_ARGS)
{
	RefundSource source = {.payments = NULL};
	IntakeRows	named = {.books = NULL};

	intake_ids(&named, PG_GETARG_INT64(0), PG_GETARG_ARRAYTYPE_P(1));
	if (named.nids == 0)
		PG_RETURN_INT64(0);
	source.npayments = named.nids;
	source.payments = palloc(named.nids * sizeof(PaymentName));
	for (int i = 0; i < named.nids; i++)
		source.payments[i] = (PaymentName)
		{
			named.program_id, named.ids[i]
		};
	PG_RETURN_INT64(run_over(run_begin(get_func_namespace(fcinfo->flinfo->fn_oid), &source)));
}

/*
 * The payments of `source` were processed: apply the refunds that waited for
 * them, payment by payment.  Costs next to nothing where no refund waits.
 */
void
refunds_follow_payments(Oid namespace, PaymentSource *source)
{
	RefundSource refunds = {.payments = NULL};
	PaymentName payment;
	Books	   *books;
	int			size = 0;

	if (table_is_empty(namespace, TABLE_REFUND_WAITING))
		return;

	books = books_open(namespace);
	source->in.books = books;
	intake_rewind(&source->in);
	while (payments_next_name(source, &payment))
	{
		Datum		key[2] = {Int64GetDatum(payment.program_id), payment.payment_id};

		if (!table_find(books, books_table(books, TABLE_REFUND_WAITING), 2, key))
			continue;
		if (refunds.npayments == size)
		{
			size = size ? 2 * size : 8;
			refunds.payments = refunds.payments
				? repalloc_huge(refunds.payments, size * sizeof(PaymentName))
				: palloc(size * sizeof(PaymentName));
		}
		payment.payment_id = datumCopy(payment.payment_id, false, -1);
		refunds.payments[refunds.npayments++] = payment;
	}
	books_close(books);
	if (refunds.npayments > 0)
		(void) run_over(run_begin(namespace, &refunds));
}
