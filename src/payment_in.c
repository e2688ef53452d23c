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

#include "counters.h"
#include "events.h"
#include "funnel.h"
#include "intake.h"
#include "members.h"
#include "money.h"
#include "payments.h"
#include "qualification.h"
#include "refund_in.h"
#include "rewards.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

typedef struct Run
{
	Books	   *books;
	int64		npayments;
	Payers	   *payers;

	/* NULL as long as no payment concerns anybody */
	Members    *members;
	Caps	   *caps;
	Counters   *counters;
	Rewards    *rewards;
	Events	   *events;
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
run_begin(Oid namespace, PaymentSource *source, int64 npayments)
{
	Books	   *books;
	Run		   *run;

	program_cache_begin();
	books = books_open(namespace);
	run = MemoryContextAllocZero(books->context, sizeof(Run));
	run->books = books;
	run->npayments = npayments;
	payments_begin(source, books);
	run->payers = source->payers;
	return run;
}

/*
 * A payment concerns somebody: begin all that is left out where none does.
 */
static void
begin_rewards(Run *run)
{
	Books	   *books = run->books;

	run->members = members_begin(books);
	run->counters = counters_begin(books);
	run->caps = caps_begin(books, run->counters);
	run->events = events_begin(books);
	run->rewards = rewards_begin(books, run->npayments);
}

static void
run_end(Run *run)
{
	if (run->rewards)
	{
		rewards_flush(run->rewards);
		payers_flush(run->payers);
		caps_flush(run->caps);
		counters_flush(run->counters);
		members_flush(run->members);
		events_end(run->events);
	}
	books_close(run->books);
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

	table_begin_row(run->books, table);
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

	table_begin_row(run->books, table);
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
		payer->first_payment_no = payment->payment_no;
		funnel_count(run->books, run->counters, payer, FUNNEL_QUALIFIED);
	}
	else
	{
		payer->decision = DECISION_CAPPED;
		funnel_count(run->books, run->counters, payer, FUNNEL_CAPPED);
		events_add(run->events, payment->program, "attribution_decided",
				   payer->attribution_id, 0, "capped");
	}
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

static Member *
payer_referrer(Run *run, Payer *payer)
{
	if (!payer->referrer)
		payer->referrer = member_find(run->members, payer->program, payer->referrer_id);
	return payer->referrer;
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
	for (member = payer_referrer(run, payer);
		 member && nlevels <= program->max_level; nlevels++)
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
		Assert(share->beneficiary != NULL);
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
				.uses_grants = payment->program->uses_grants,
				.payment_id = payment->payment_id
		};
		rewards_add(run->rewards, &reward);
		events_add(run->events, payment->program, "reward_created",
				   REWARD_ID(payment->payment_no, level), 0, NULL);
	}
	if (!payer->is_rewarded)
	{
		payer->is_rewarded = true;
		payer->rewarded_at = payment->occurred_at;
		funnel_count(run->books, run->counters, payer, FUNNEL_REWARDED);
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
		counters_add_again(run->counters, TABLE_EARNING, &key, values,
						   &share->beneficiary->earned[level]);
	}
	counters_add_again(run->counters, TABLE_PAID, &payer_key, paid, &payment->payer->paid);
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
	{
		member_add_invitee(run->members, payer_referrer(run, payer));
		events_add(run->events, payment->program, "tier_check",
				   payer->referrer_id, 0, NULL);
	}
}

/* The two passes over the rows, see the head of this file. */
static void
take_payments(Run *run, PaymentSource *source)
{
	Payment		payment;
	bool		locked;

	payments_rewind(source);
	while (payments_next(source, &payment))
	{
		if (!payer_counts(payment.payer, payment.occurred_at))
			continue;
		if (!run->rewards)
			begin_rewards(run);
		want_locks(run, &payment);
	}
	if (!run->rewards)
		return;

	locked = payers_lock(run->payers);
	locked |= caps_lock(run->caps);
	if (locked)
		books_refresh(run->books);

	payments_rewind(source);
	while (payments_next(source, &payment))
		take_payment(run, &payment);
}

PG_FUNCTION_INFO_V1(referral_payment_before);

/*
 * BEFORE INSERT statement trigger of payment.
 */
Datum
referral_payment_before(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = intake_trigger(fcinfo, TABLE_PAYMENT, false);

	intake_begin(INTAKE_PAYMENTS, trigger->tg_relation, "payment_after");
	return PointerGetDatum(NULL);
}

PG_FUNCTION_INFO_V1(referral_payment_after);

/*
 * AFTER INSERT statement trigger of payment, with its rows as new table.
 */
Datum
referral_payment_after(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = intake_trigger(fcinfo, TABLE_PAYMENT, true);
	int64		npayments = tuplestore_tuple_count(trigger->tg_newtable);
	PaymentSource source = {.payers = NULL};
	Run		   *run;

	intake_lower(INTAKE_PAYMENTS);
	if (npayments == 0)
		return PointerGetDatum(NULL);

	intake_rows_of(&source.in, trigger);
	run = run_begin(RelationGetNamespace(trigger->tg_relation), &source, npayments);
	take_payments(run, &source);
	run_end(run);
	refunds_follow_payments(RelationGetNamespace(trigger->tg_relation), &source);
	ExecDropSingleTupleTableSlot(source.in.slot);
	return PointerGetDatum(NULL);
}

/*
 * A run over the payments of program_id that are named by payment_ids, the
 * arguments of the functions below; returns how many there were.
 */
static int64
take_named(FunctionCallInfo fcinfo, bool waited)
{
	PaymentSource source = {.payers = NULL};
	Oid			namespace = get_func_namespace(fcinfo->flinfo->fn_oid);
	Run		   *run;

	intake_ids(&source.in, PG_GETARG_INT64(0), PG_GETARG_ARRAYTYPE_P(1));
	run = run_begin(namespace, &source, source.in.nids);
	payments_claim(&source, waited);
	take_payments(run, &source);
	run_end(run);
	refunds_follow_payments(namespace, &source);
	return source.in.nids;
}

PG_FUNCTION_INFO_V1(referral_take_in);

/*
 * take_in(program_id, payment_ids): payments that the engine has not seen.
 */
Datum
referral_take_in(PG_FUNCTION_ARGS)
{
	return Int64GetDatum(take_named(fcinfo, false));
}

PG_FUNCTION_INFO_V1(referral_take_waiting);

/*
 * take_waiting(program_id, payment_ids): payments that waited for a review that
 * is over.
 */
Datum
referral_take_waiting(PG_FUNCTION_ARGS)
{
	return Int64GetDatum(take_named(fcinfo, true));
}
