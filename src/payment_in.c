/*
 * payment_in.c
 *	  The engine: payments go in, rewards and counters come out.
 *
 * Called once per statement that inserted into referral.payment, in its
 * transaction, with all its rows.  A run goes over them twice:
 *
 * - first it checks every row, finds the payers and locks what must be exact
 *	 at an instant: attributions that may change, rows that stand for a cap;
 * - then it takes the rows one by one, in the statement's order, each as if it
 *	 had come alone: take_payment() is section 3 of the contract.
 *
 * Rewards and counters are gathered meanwhile and written at the end.
 */
#include "postgres.h"

#include "access/xact.h"
#include "calendar.h"
#include "catalog/namespace.h"
#include "catalog/pg_trigger.h"
#include "commands/sequence.h"
#include "commands/trigger.h"
#include "counters.h"
#include "fmgr.h"
#include "funcapi.h"
#include "intake.h"
#include "mb/pg_wchar.h"
#include "members.h"
#include "miscadmin.h"
#include "money.h"
#include "payers.h"
#include "program_cache.h"
#include "qualification.h"
#include "rewards.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

/* Column numbers of sql/model/030_payment.sql. */
enum
{
	PAYMENT_PROGRAM_ID = 1,
	PAYMENT_PAYMENT_ID,
	PAYMENT_USER_ID,
	PAYMENT_AMOUNT_MICRO,
	PAYMENT_BASE_MICRO,
	PAYMENT_KIND,
	PAYMENT_OCCURRED_AT,
	PAYMENT_PAYMENT_NO,
	PAYMENT_TAKEN_IN
};

/* One row of the statement; valid until the next one is read. */
typedef struct Payment
{
	const Program *program;
	Payer	   *payer;
	int64		payment_no;
	int64		amount_micro;
	int64		base_micro;
	TimestampTz occurred_at;
	bool		is_deposit;
	Datum		payment_id;		/* text */
	Moment		moment;
} Payment;

/* Where the rows come from: a statement's transition table, or ids. */
typedef struct PaymentSource
{
	Tuplestorestate *rows;
	TupleTableSlot *slot;
	int64		program_id;
	Datum	   *ids;			/* text, where there is no transition table */
	int			nids;
	int			next_id;
} PaymentSource;

typedef struct Run
{
	Books	   *books;
	Payers	   *payers;
	Members    *members;
	Caps	   *caps;
	Counters   *counters;
	Rewards    *rewards;
	const Program *last_program;	/* rows of one program come together */
} Run;

/* What one payment earns on one level. */
typedef struct Share
{
	Member	   *beneficiary;	/* NULL: nobody stands there */
	const Rate *rate;			/* NULL: nothing is earned */
	int32		tier;
	int64		amount_micro;
} Share;

static Run *
run_begin(Oid namespace, int64 npayments)
{
	Books	   *books;
	Run		   *run;

	program_cache_begin();
	books = books_open(namespace);
	run = MemoryContextAllocZero(books->context, sizeof(Run));
	run->books = books;
	run->payers = payers_begin(books);
	run->members = members_begin(books);
	run->counters = counters_begin(books);
	run->caps = caps_begin(books, run->counters);
	run->rewards = rewards_begin(books, npayments);
	return run;
}

static void
run_end(Run *run)
{
	rewards_flush(run->rewards);
	payers_flush(run->payers);
	caps_flush(run->caps);
	counters_flush(run->counters);
	members_flush(run->members);
	books_close(run->books);
}

static void
source_rewind(PaymentSource *source)
{
	if (source->rows)
		tuplestore_rescan(source->rows);
	source->next_id = 0;
}

/* The next row that the engine is to take in, or NULL. */
static TupleTableSlot *
source_next(Run *run, PaymentSource *source)
{
	CHECK_FOR_INTERRUPTS();
	if (source->rows)
	{
		while (tuplestore_gettupleslot(source->rows, true, false, source->slot))
		{
			bool		isnull;

			/* Written on purpose for backfill() to take in later. */
			if (DatumGetBool(slot_getattr(source->slot, PAYMENT_TAKEN_IN, &isnull)))
				return source->slot;
		}
		return NULL;
	}
	while (source->next_id < source->nids)
	{
		Table	   *table = books_table(run->books, TABLE_PAYMENT);
		Datum		key[2] = {Int64GetDatum(source->program_id),
		source->ids[source->next_id++]};

		if (table_find(run->books, table, 2, key))
			return table->row;
	}
	return NULL;
}

static const Program *
program_of(Run *run, int64 program_id)
{
	if (!run->last_program || run->last_program->program_id != program_id)
	{
		run->last_program = program_find(run->books, program_id);
		if (!run->last_program)
			ereport(ERROR,
					(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
					 errmsg("program of the payment does not exist"),
					 errdetail("There is no program %lld.", (long long) program_id),
					 errhint("Insert it into referral.program first.")));
	}
	return run->last_program;
}

/*
 * CONTRACT section 1, table payment.  Not a CHECK: PostgreSQL parses those anew
 * in every statement, which cost more than the insert (docs/performance.md).
 */
static void
check_length(const TupleTableSlot *slot, int column, int at_most)
{
	text	   *value = DatumGetTextPP(slot->tts_values[column - 1]);
	int			bytes = VARSIZE_ANY_EXHDR(value);

	if (bytes == 0 ||
		(bytes > at_most && pg_mbstrlen_with_len(VARDATA_ANY(value), bytes) > at_most))
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("text of the payment is empty or too long"),
				 errdetail("Column \"%s\" must have 1 to %d characters.",
						   NameStr(TupleDescAttr(slot->tts_tupleDescriptor, column - 1)->attname),
						   at_most)));
}

/* CONTRACT section 3.2 and section 1, table payment. */
static void
check_payment(const Payment *payment, const TupleTableSlot *slot)
{
	check_length(slot, PAYMENT_PAYMENT_ID, 200);
	check_length(slot, PAYMENT_USER_ID, 200);
	check_length(slot, PAYMENT_KIND, 100);
	if (payment->payment_no < 1 || payment->payment_no > PAYMENT_NO_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg("number of the payment is out of range"),
				 errdetail("Payment \"%s\" has payment_no %lld.",
						   TextDatumGetCString(payment->payment_id),
						   (long long) payment->payment_no),
				 errhint("Leave it to the column's default.")));
	if (payment->amount_micro < 0 || payment->base_micro < 0)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("amount of the payment is negative"),
				 errdetail("Payment \"%s\" has amount %lld and base %lld.",
						   TextDatumGetCString(payment->payment_id),
						   (long long) payment->amount_micro,
						   (long long) payment->base_micro),
				 errhint("Money that is given back is a refund.")));
	if (TIMESTAMP_NOT_FINITE(payment->occurred_at) ||
		payment->occurred_at > GetCurrentStatementStartTimestamp() + USECS_PER_DAY)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("occurred_at of the payment is out of range"),
				 errdetail("Payment \"%s\" occurred at %s.",
						   TextDatumGetCString(payment->payment_id),
						   timestamptz_to_str(payment->occurred_at)),
				 errhint("It must be finite and at most a day ahead.")));
}

static Payment
read_payment(Run *run, TupleTableSlot *slot)
{
	Payment		payment;
	text	   *kind;

	slot_getsomeattrs(slot, PAYMENT_TAKEN_IN);
	payment.program = program_of(run, DatumGetInt64(slot->tts_values[PAYMENT_PROGRAM_ID - 1]));
	payment.payment_id = slot->tts_values[PAYMENT_PAYMENT_ID - 1];
	payment.payment_no = DatumGetInt64(slot->tts_values[PAYMENT_PAYMENT_NO - 1]);
	payment.amount_micro = DatumGetInt64(slot->tts_values[PAYMENT_AMOUNT_MICRO - 1]);
	payment.base_micro = slot->tts_isnull[PAYMENT_BASE_MICRO - 1]
		? payment.amount_micro
		: DatumGetInt64(slot->tts_values[PAYMENT_BASE_MICRO - 1]);
	payment.occurred_at = DatumGetTimestampTz(slot->tts_values[PAYMENT_OCCURRED_AT - 1]);
	kind = DatumGetTextPP(slot->tts_values[PAYMENT_KIND - 1]);
	payment.is_deposit = VARSIZE_ANY_EXHDR(kind) == strlen("deposit") &&
		memcmp(VARDATA_ANY(kind), "deposit", strlen("deposit")) == 0;
	check_payment(&payment, slot);

	payment.payer = payer_find(run->payers, payment.program,
							   slot->tts_values[PAYMENT_USER_ID - 1]);
	if (payment.payer->attributed)
		payment.moment = calendar_moment(payment.occurred_at,
										 payment.program->zone,
										 payment.program->hold_days,
										 run->books->now);
	return payment;
}

/* CONTRACT section 3.2. */
static bool
is_earning_payment(const Payment *payment)
{
	return payment->program->active && payment->base_micro > 0 &&
		!payment->is_deposit &&
		calendar_within(payment->occurred_at, payment->payer->attributed_at,
						payment->program->earning_days);
}

/*
 * Note what this payment needs exact, see payers_lock() and caps_lock().
 */
static void
want_locks(Run *run, const Payment *payment)
{
	Payer	   *payer = payment->payer;

	if (!payer_counts(payer, payment->occurred_at))
		return;
	if (payer->decision == DECISION_REVIEW_REQUIRED)
		payer_want_lock(run->payers, payer);

	/* Also in review, which may be over once the lock is there. */
	if (is_earning_payment(payment))
	{
		if (!payer->is_rewarded || payment->program->counts_payments)
			payer_want_lock(run->payers, payer);
		if (!payer->is_qualified || payer->campaign_id != 0)
			caps_want(run->caps, payer, payment->moment.month);
	}
}

/* CONTRACT section 3.1: the payment waits for the operator's decision. */
static void
keep_waiting(Run *run, const Payment *payment)
{
	Table	   *table = books_table(run->books, TABLE_PAYMENT_WAITING);

	table_begin_row(table);
	next_set(table, 1, Int64GetDatum(payment->program->program_id));
	next_set(table, 2, Int64GetDatum(payment->payer->member_id));
	next_set(table, 3, TimestampTzGetDatum(payment->occurred_at));
	next_set(table, 4, Int64GetDatum(payment->payment_no));
	next_set(table, 5, payment->payment_id);
	table_insert(run->books, table);
}

/* Why a payment earned nothing, where the books alone cannot tell. */
static void
note_unrewarded(Run *run, const Payment *payment, const char *reason)
{
	Table	   *table = books_table(run->books, TABLE_PAYMENT_UNREWARDED);

	table_begin_row(table);
	next_set(table, 1, Int64GetDatum(payment->program->program_id));
	next_set(table, 2, payment->payment_id);
	next_set(table, 3, CStringGetTextDatum(reason));
	table_insert(run->books, table);
}

/*
 * CONTRACT section 3.3.  Returns false when the attribution is capped, by this
 * payment: it earns nobody anything then.
 */
static bool
qualify(Run *run, const Payment *payment)
{
	Payer	   *payer = payment->payer;

	if (payer->is_qualified)
		return true;
	if (caps_qualify(run->caps, payer, payment->moment.month))
	{
		payer->is_qualified = true;
		payer->qualified_at = payment->occurred_at;
	}
	else
		payer->decision = DECISION_CAPPED;
	payer_change(run->payers, payer);
	return payer->is_qualified;
}

/* The payer's earning payments before this one. */
static int64
earning_payments(Run *run, Payer *payer)
{
	if (payer->earning_payments < 0)
	{
		CounterKey	key = {{payer->program->program_id, payer->member_id}};

		payer->earning_payments = counters_sum(run->books, TABLE_PAID, &key, 2,
											   PAID_EARNING_PAYMENTS);
	}
	return payer->earning_payments + payer->new_earning_payments;
}

/*
 * CONTRACT section 3.4: what the payment earns this beneficiary, by the tier he
 * has before it.  A suspended one is skipped.
 */
static void
fill_share(Run *run, const Payment *payment, int level, Share *share)
{
	const Rate *rate;

	if (share->beneficiary->suspended)
		return;
	share->tier = member_tier(run->members, share->beneficiary);
	rate = program_rate(payment->program, payment->payer->campaign_id,
						share->tier, level);
	if (!rate || (rate->max_payments > 0 &&
				  earning_payments(run, payment->payer) >= rate->max_payments))
		return;
	share->rate = rate;
	share->amount_micro = money_reward(payment->base_micro, rate->rate_bps,
									   rate->flat_micro);
}

/*
 * Find who stands on which level, 0 to max_level; returns how many levels
 * there are, the payer's own included.
 */
static int
find_line(Run *run, const Payment *payment, Share *shares)
{
	const Program *program = payment->program;
	Payer	   *payer = payment->payer;
	Member	   *member;
	int			nlevels = 1;

	shares[0] = (Share) {0};
	if (program->rewards_payer)
		shares[0].beneficiary = member_find(run->members, program, payer->member_id);
	if (program->max_level == 0)
		return nlevels;
	member = member_find(run->members, program, payer->referrer_id);
	for (; member && nlevels <= program->max_level; nlevels++)
	{
		shares[nlevels] = (Share) {.beneficiary = member};
		member = member_referrer(run->members, member);
	}
	return nlevels;
}

/*
 * CONTRACT sections 3.3 (budget) and 3.4: work out all levels, then freeze
 * them, or none where the campaign's budget does not hold them all.
 */
static void
reward_levels(Run *run, const Payment *payment, Share *shares, int nlevels)
{
	Payer	   *payer = payment->payer;
	int64		amounts[REFERRAL_MAX_LEVEL + 1];
	bool		any = false;

	for (int level = 0; level < nlevels; level++)
	{
		if (shares[level].beneficiary)
			fill_share(run, payment, level, &shares[level]);
		amounts[level] = shares[level].amount_micro;
		any |= amounts[level] > 0;
	}
	if (!any)
		return;
	if (!caps_spend(run->caps, payer, amounts, nlevels))
	{
		for (int level = 0; level < nlevels; level++)
			shares[level].amount_micro = 0;
		note_unrewarded(run, payment, "budget_used_up");
		return;
	}

	for (int level = 0; level < nlevels; level++)
	{
		const Share *share = &shares[level];
		Reward		reward;

		if (share->amount_micro == 0)
			continue;
		reward = (Reward)
		{
			.program_id = payment->program->program_id,
				.payment_no = payment->payment_no,
				.member_id = share->beneficiary->member_id,
				.payer_id = payer->member_id,
				.base_micro = payment->base_micro,
				.amount_micro = share->amount_micro,
				.flat_micro = share->rate->flat_micro,
				.available_at = payment->moment.available_at,
				.rate_bps = share->rate->rate_bps,
				.tier = share->tier,
				.level = level,
				.payment_id = payment->payment_id
		};
		rewards_add(run->rewards, &reward);
	}
	if (!payer->is_rewarded)
	{
		payer->is_rewarded = true;
		payer->rewarded_at = payment->occurred_at;
		payer_change(run->payers, payer);
	}
}

/*
 * Count what was paid for everybody above, and for the payer himself.
 */
static void
count_payment(Run *run, const Payment *payment, const Share *shares,
			  int nlevels, bool is_earning)
{
	int64		program_id = payment->program->program_id;
	int64		volume = payment->is_deposit ? 0 : payment->amount_micro;
	int64		deposits = payment->is_deposit ? payment->amount_micro : 0;
	CounterKey	payer_key = {{program_id, payment->payer->member_id}};
	int64		paid[COUNTER_MAX_VALUES] = {volume, deposits,
	payment->is_deposit ? 0 : 1, is_earning ? 1 : 0};

	for (int level = 0; level < nlevels; level++)
	{
		const Share *share = &shares[level];
		CounterKey	key;
		int64		values[COUNTER_MAX_VALUES] = {share->amount_micro,
			level == 0 ? 0 : volume, level == 0 ? 0 : deposits,
		share->amount_micro > 0 ? 1 : 0};

		if (level == 0 && share->amount_micro == 0)
			continue;
		key = (CounterKey)
		{
			{
				program_id, share->beneficiary->member_id,
					payment->moment.counter_at, payment->moment.day, level
			}
		};
		counters_add(run->counters, TABLE_EARNING, &key, values);
	}
	counters_add(run->counters, TABLE_PAID, &payer_key, paid);
	if (is_earning)
		payment->payer->new_earning_payments++;
}

/*
 * One payment: CONTRACT section 3.
 */
static void
take_payment(Run *run, const Payment *payment)
{
	Payer	   *payer = payment->payer;
	Share		shares[REFERRAL_MAX_LEVEL + 1];
	bool		was_qualified;
	bool		is_earning;
	int			nlevels;

	if (!payer_counts(payer, payment->occurred_at))
		return;
	if (payer->decision == DECISION_REVIEW_REQUIRED)
	{
		keep_waiting(run, payment);
		return;
	}

	was_qualified = payer->is_qualified;
	is_earning = is_earning_payment(payment);
	if (is_earning && !qualify(run, payment))
		return;

	nlevels = find_line(run, payment, shares);
	if (is_earning)
		reward_levels(run, payment, shares, nlevels);
	count_payment(run, payment, shares, nlevels, is_earning);
	if (payer->is_qualified && !was_qualified)
		member_add_invitee(run->members,
						   member_find(run->members, payment->program,
									   payer->referrer_id));
}

/* The two passes over the rows, see the head of this file. */
static void
take_payments(Run *run, PaymentSource *source)
{
	TupleTableSlot *slot;
	bool		locked;

	source_rewind(source);
	while ((slot = source_next(run, source)) != NULL)
	{
		Payment		payment = read_payment(run, slot);

		want_locks(run, &payment);
	}

	locked = payers_lock(run->payers);
	locked |= caps_lock(run->caps);
	if (locked)
		books_refresh(run->books);

	source_rewind(source);
	while ((slot = source_next(run, source)) != NULL)
	{
		Payment		payment = read_payment(run, slot);

		take_payment(run, &payment);
	}
}

static TriggerData *
check_trigger(FunctionCallInfo fcinfo, const char *name, bool after)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager", name)));
	if (!TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event) ||
		!TRIGGER_FIRED_BY_INSERT(trigger->tg_event) ||
		(after && (!TRIGGER_FIRED_AFTER(trigger->tg_event) || !trigger->tg_newtable)) ||
		RelationGetRelid(trigger->tg_relation) !=
		table_oid(RelationGetNamespace(trigger->tg_relation), TABLE_PAYMENT))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not fired as the trigger that install() makes",
						name)));
	return trigger;
}

/*
 * Will payment_after() fire for this statement?  It can be disabled alone.
 */
static bool
after_trigger_fires(Relation payment)
{
	const char	off = SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA
		? TRIGGER_FIRES_ON_ORIGIN : TRIGGER_FIRES_ON_REPLICA;

	for (int i = 0; i < payment->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &payment->trigdesc->triggers[i];

		if (TRIGGER_TYPE_MATCHES(trigger->tgtype, TRIGGER_TYPE_STATEMENT,
								 TRIGGER_TYPE_AFTER, TRIGGER_TYPE_INSERT) &&
			trigger->tgenabled != TRIGGER_DISABLED && trigger->tgenabled != off &&
			strcmp(get_func_name(trigger->tgfoid), "payment_after") == 0)
			return true;
	}
	return false;
}

PG_FUNCTION_INFO_V1(referral_payment_before);

/*
 * BEFORE INSERT statement trigger of payment.
 */
Datum
referral_payment_before(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = check_trigger(fcinfo, "payment_before", false);

	if (after_trigger_fires(trigger->tg_relation))
		intake_raise();
	return PointerGetDatum(NULL);
}

PG_FUNCTION_INFO_V1(referral_payment_after);

/*
 * AFTER INSERT statement trigger of payment, with its rows as new table.
 */
Datum
referral_payment_after(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = check_trigger(fcinfo, "payment_after", true);
	int64		npayments = tuplestore_tuple_count(trigger->tg_newtable);
	PaymentSource source = {.rows = trigger->tg_newtable};
	Run		   *run;

	intake_lower();
	if (npayments == 0)
		return PointerGetDatum(NULL);

	source.slot = MakeSingleTupleTableSlot(RelationGetDescr(trigger->tg_relation),
										   &TTSOpsMinimalTuple);
	run = run_begin(RelationGetNamespace(trigger->tg_relation), npayments);
	take_payments(run, &source);
	run_end(run);
	ExecDropSingleTupleTableSlot(source.slot);
	return PointerGetDatum(NULL);
}

/*
 * Mark the payments as taken in, with new numbers, since rewards are numbered
 * in the order of processing.  Returns how many ids are left in `ids`.
 */
static int
claim_payments(Run *run, int64 program_id, Datum *ids, int nids)
{
	Books	   *books = run->books;
	Table	   *table = books_table(books, TABLE_PAYMENT);
	Oid			sequence = get_relname_relid("payment_no_seq", books->namespace);
	int			n = 0;

	for (int i = 0; i < nids; i++)
	{
		Datum		key[2] = {Int64GetDatum(program_id), ids[i]};
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		if (!table_find(books, table, 2, key) ||
			DatumGetBool(row_datum(table, PAYMENT_TAKEN_IN, &isnull)))
			continue;

		/* No update means that somebody, or an id before, was first. */
		table_begin_update(table);
		next_set(table, PAYMENT_PAYMENT_NO,
				 Int64GetDatum(nextval_internal(sequence, false)));
		next_set(table, PAYMENT_TAKEN_IN, BoolGetDatum(true));
		if (table_update(books, table, true))
			ids[n++] = ids[i];
	}
	books_refresh(books);
	return n;
}

PG_FUNCTION_INFO_V1(referral_take_in);

/*
 * take_in(program_id, payment_ids): payments that the engine has not seen.
 */
Datum
referral_take_in(PG_FUNCTION_ARGS)
{
	PaymentSource source = {.program_id = PG_GETARG_INT64(0)};
	Oid			namespace = get_func_namespace(fcinfo->flinfo->fn_oid);
	Run		   *run;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT,
					  &source.ids, NULL, &source.nids);
	run = run_begin(namespace, source.nids);
	source.nids = claim_payments(run, source.program_id, source.ids, source.nids);
	take_payments(run, &source);
	run_end(run);
	PG_RETURN_INT64(source.nids);
}
