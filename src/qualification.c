/*
 * qualification.c
 *	  The first earning payment: code caps, monthly caps, budgets.
 *
 * CONTRACT section 3.3.  Three things bound what a payment may do: the uses of
 * a code, a referrer's paid invitees of a month, the money of a campaign.  All
 * three are counters beside a limit (bounded.c).
 *
 * Before a run decides anything, it reserves under each limit what its payments
 * may need at most, by writing it into the counter; what they did not need is
 * taken off at the end.  Where the limit is far, nobody waits for that.  Where it
 * is near, whoever may, or may not, have a place waits for those who have one
 * and have not committed: he is refused only when what is committed uses all
 * of it.  Without a limit nothing is looked at.
 *
 * A run reserves in one order for all sessions: codes, then referrers' months,
 * then campaigns, each by id.
 */
#include "qualification.h"

#include "bounded.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "money.h"
#include "utils/memutils.h"

/* Column numbers of sql/model/020_member.sql. */
enum
{
	CODE_CAP = 7,
	CODE_USED = 8
};

/* In the order of reserving. */
typedef enum CapKind
{
	CAP_CODE,					/* uses of a code */
	CAP_MONTH,					/* paid invitees of a referrer in a month */
	CAP_BUDGET					/* money of a campaign */
} CapKind;

static const TableId cap_counter[] = {TABLE_CODE_USE, TABLE_INVITED, TABLE_CAMPAIGN_SPENT};

typedef struct CapKey
{
	int64		program_id;
	int64		id;				/* code, referrer or campaign */
	int32		kind;
	DateADT		month;			/* CAP_MONTH only */
} CapKey;

typedef struct Cap
{
	CapKey		key;
	char		status;

	/*
	 * Two campaigns may allow one referrer different numbers, and another one
	 * any; NO_LIMIT where none of them bounds him.
	 */
	int64		lowest;
	int64		highest;
	int128		wanted;			/* by this run, at most */
	int64		used;			/* before this run */
	int64		reserved;		/* is written already */
	int64		added;			/* by this run, so far */
	ItemPointerData tid;		/* CAP_CODE */
} Cap;

/* A payment that may be bounded. */
typedef struct Want
{
	Payer	   *payer;
	DateADT		month;
	int64		base_micro;
} Want;

#define SH_PREFIX cap
#define SH_ELEMENT_TYPE Cap
#define SH_KEY_TYPE CapKey
#define SH_KEY key
#define SH_HASH_KEY(tb, k) murmurhash32((uint32) (k).id ^ (uint32) (k).program_id * 0x9E3779B1 ^ (uint32) (k).month << 2 ^ (uint32) (k).kind)
#define SH_EQUAL(tb, a, b) (memcmp(&(a), &(b), sizeof(CapKey)) == 0)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct Caps
{
	Books	   *books;
	Counters   *counters;
	cap_hash   *known;
	Want	   *wants;
	int			nwants;
	int			wants_size;
};

/*
 * Begin a run with no cap looked at yet; everything lives in the run's memory.
 */
Caps *
caps_begin(Books *books, Counters *counters)
{
	Caps	   *caps = MemoryContextAllocZero(books->context, sizeof(Caps));

	caps->books = books;
	caps->counters = counters;
	caps->known = cap_create(books->context, 4, NULL);
	return caps;
}

/* How much of it a payer's programme and campaign allow. */
static int64
configured_limit(const Payer *payer, CapKind kind)
{
	const Campaign *campaign = program_campaign(payer->program,
												payer->campaign_id);

	if (kind == CAP_BUDGET)
		return campaign ? campaign->budget_micro : NO_LIMIT;
	if (campaign && campaign->referrer_monthly_cap != NO_LIMIT)
		return campaign->referrer_monthly_cap;
	return payer->program->referrer_monthly_cap;
}

/* Read what the code's row says, if there is one. */
static void
read_code(Caps *caps, Cap *cap)
{
	Table	   *table = books_table(caps->books, TABLE_CODE);
	Datum		key[2] = {Int64GetDatum(cap->key.program_id),
	Int64GetDatum(cap->key.id)};

	cap->lowest = cap->highest = NO_LIMIT;
	if (!table_find_any(caps->books, table, 2, key))
		return;
	if (!row_is_null(table, CODE_CAP))
		cap->lowest = cap->highest = row_int64(table, CODE_CAP);
	cap->tid = table->row->tts_tid;
}

static Cap *
find_cap(Caps *caps, const Payer *payer, CapKind kind, DateADT month)
{
	CapKey		key;
	Cap		   *cap;
	bool		found;

	memset(&key, 0, sizeof(key));
	key.program_id = payer->program->program_id;
	key.kind = kind;
	if (kind == CAP_CODE)
		key.id = payer->code_id;
	else if (kind == CAP_BUDGET)
		key.id = payer->campaign_id;
	else
	{
		key.id = payer->referrer_id;
		key.month = month;
	}

	cap = cap_insert(caps->known, key, &found);
	if (!found)
	{
		cap->lowest = cap->highest = NO_LIMIT;
		cap->wanted = 0;
		cap->used = cap->reserved = cap->added = 0;
		if (kind == CAP_CODE)
			read_code(caps, cap);
	}
	return cap;
}

/* As find_cap(), where the limit is configured, not the code's own. */
static Cap *
find_configured(Caps *caps, const Payer *payer, CapKind kind, DateADT month)
{
	Cap		   *cap = find_cap(caps, payer, kind, month);
	int64		limit = configured_limit(payer, kind);

	if (limit != NO_LIMIT)
	{
		cap->lowest = cap->lowest == NO_LIMIT ? limit : Min(cap->lowest, limit);
		cap->highest = Max(cap->highest, limit);
	}
	return cap;
}

/*
 * A payment of this payer may be bounded: note it for caps_reserve().
 */
void
caps_want(Caps *caps, Payer *payer, DateADT month, int64 base_micro)
{
	if (payer->is_qualified && configured_limit(payer, CAP_BUDGET) == NO_LIMIT)
		return;
	if (caps->nwants == caps->wants_size)
	{
		caps->wants_size = caps->wants_size ? 2 * caps->wants_size : 4;
		caps->wants = caps->wants
			? repalloc_huge(caps->wants, caps->wants_size * sizeof(Want))
			: MemoryContextAlloc(caps->books->context, caps->wants_size * sizeof(Want));
	}
	caps->wants[caps->nwants++] = (Want)
	{
		payer, month, base_micro
	};
}

/* Count what the payment may need; its payer is locked if he may qualify. */
static void
count_want(Caps *caps, const Want *want)
{
	Payer	   *payer = want->payer;

	if (payer->decision != DECISION_NONE)
		return;
	if (!payer->is_qualified)
	{
		if (!payer->wants_place)
			find_cap(caps, payer, CAP_CODE, 0)->wanted++;
		if (!payer->wants_place || payer->wants_month != want->month)
			find_configured(caps, payer, CAP_MONTH, want->month)->wanted++;
		payer->wants_place = true;
		payer->wants_month = want->month;
	}
	if (configured_limit(payer, CAP_BUDGET) != NO_LIMIT)
		find_configured(caps, payer, CAP_BUDGET, 0)->wanted +=
			program_most_rewards(payer->program, payer->campaign_id, want->base_micro);
}

static int
compare_caps(const void *a, const void *b)
{
	const CapKey *x = &(*(Cap *const *) a)->key;
	const CapKey *y = &(*(Cap *const *) b)->key;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if (x->program_id != y->program_id)
		return x->program_id < y->program_id ? -1 : 1;
	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return (x->month > y->month) - (x->month < y->month);
}

static CounterKey
counter_key(const Cap *cap)
{
	return (CounterKey)
	{
		{
			cap->key.program_id, cap->key.id, cap->key.month
		}
	};
}

/*
 * Look what the cap leaves, and reserve what the run may need of it; false
 * where that depends on others, who are in *range.
 */
static bool
try_reserve(Caps *caps, Cap *cap, SumRange *range)
{
	Books	   *books = caps->books;
	TableId		counter = cap_counter[cap->key.kind];
	CounterKey	key = counter_key(cap);
	int			nkeys = cap->key.kind == CAP_MONTH ? 3 : 2;

	memset(range, 0, sizeof(SumRange));
	bounded_look(books, counter, &key, nkeys, nkeys + 2, range);
	if (cap->key.kind == CAP_CODE)
		bounded_look(books, TABLE_CODE, &key, 2, CODE_USED, range);
	cap->used = (int64) Min(Max(range->least, PG_INT64_MIN), PG_INT64_MAX);
	if (cap->used >= cap->highest)
		return true;
	if (range->is_open && range->most + cap->wanted > cap->lowest)
		return false;

	cap->reserved = (int64) Min(cap->wanted, (int128) cap->highest - cap->used);
	if (cap->reserved > 0)
	{
		int64		values[COUNTER_MAX_VALUES] = {cap->reserved};

		counters_write(books, counter, &key, values);
	}
	return true;
}

static void
reserve(Caps *caps, Cap *cap)
{
	TableId		counter = cap_counter[cap->key.kind];
	CounterKey	key = counter_key(cap);
	bool		is_done;

	/* Open now what is read and written under bounded_enter(). */
	table_indexes(caps->books, books_table(caps->books, counter));
	(void) table_key(books_table(caps->books, counter));
	(void) table_key(books_table(caps->books, TABLE_CODE));
	do
	{
		SumRange	range;

		bounded_enter(counter, &key);
		is_done = try_reserve(caps, cap, &range);
		bounded_leave(counter, &key);
		if (!is_done)
		{
			bounded_wait(caps->books, &range);
			if (cap->key.kind == CAP_CODE)
				read_code(caps, cap);
		}
	} while (!is_done && cap->lowest != NO_LIMIT);
}

/*
 * Reserve what the payments that were noted may need under their limits.
 */
void
caps_reserve(Caps *caps)
{
	Cap		  **limited;
	Cap		   *cap;
	cap_iterator iterator;
	int			n = 0;

	for (int i = 0; i < caps->nwants; i++)
	{
		CHECK_FOR_INTERRUPTS();
		count_want(caps, &caps->wants[i]);
	}
	if (caps->known->members == 0)
		return;

	limited = MemoryContextAllocHuge(caps->books->context,
									 caps->known->members * sizeof(Cap *));
	cap_start_iterate(caps->known, &iterator);
	while ((cap = cap_iterate(caps->known, &iterator)) != NULL)
	{
		if (cap->lowest != NO_LIMIT)
			limited[n++] = cap;
	}
	qsort(limited, n, sizeof(Cap *), compare_caps);
	for (int i = 0; i < n; i++)
		reserve(caps, limited[i]);
}

/* What is left of the cap to whom this limit holds. */
static int64
cap_left(const Cap *cap, int64 limit)
{
	if (limit == NO_LIMIT)
		return PG_INT64_MAX;
	return (int64) Max((int128) limit - cap->used - cap->added, 0);
}

/*
 * The payer's first earning payment: take a place under each cap, or return
 * false, with nothing taken, when one of them is used up.
 */
bool
caps_qualify(Caps *caps, const Payer *payer, DateADT month)
{
	int64		budget = configured_limit(payer, CAP_BUDGET);
	Cap		   *code = find_cap(caps, payer, CAP_CODE, 0);

	if (cap_left(code, code->lowest) == 0)
		return false;
	if (cap_left(find_cap(caps, payer, CAP_MONTH, month),
				 configured_limit(payer, CAP_MONTH)) == 0)
		return false;
	if (budget != NO_LIMIT &&
		cap_left(find_cap(caps, payer, CAP_BUDGET, 0), budget) == 0)
		return false;

	find_cap(caps, payer, CAP_CODE, 0)->added++;
	find_cap(caps, payer, CAP_MONTH, month)->added++;
	return true;
}

/*
 * Take the amounts of one payment's rewards from the budget of the payer's
 * campaign; false, with nothing taken, when they do not all fit.
 */
bool
caps_spend(Caps *caps, const Payer *payer, const int64 *amounts, int namounts)
{
	CounterKey	key = {{payer->program->program_id, payer->campaign_id}};
	int64		budget = configured_limit(payer, CAP_BUDGET);
	int64		values[COUNTER_MAX_VALUES] = {0};
	int128		total = 0;

	if (payer->campaign_id == 0)
		return true;
	for (int i = 0; i < namounts; i++)
		total += amounts[i];
	if (total == 0)
		return true;
	if (budget != NO_LIMIT)
	{
		Cap		   *cap = find_cap(caps, payer, CAP_BUDGET, 0);

		if (total > cap_left(cap, budget))
			return false;
		cap->added += (int64) total;
		return true;
	}
	values[0] = (int64) Min(total, PG_INT64_MAX);
	counters_add(caps->counters, TABLE_CAMPAIGN_SPENT, &key, values);
	return true;
}

/* Add the run's uses to the code's row; false where somebody holds it. */
static bool
write_code(Caps *caps, const Cap *cap)
{
	Table	   *table = books_table(caps->books, TABLE_CODE);

	if (!table_fetch(caps->books, table, (ItemPointer) &cap->tid))
		return false;
	table_begin_update(caps->books, table);
	next_set(table, CODE_USED,
			 Int64GetDatum(money_add(row_int64(table, CODE_USED), cap->added)));
	return table_update(caps->books, table, false);
}

/*
 * Write what was used beyond what was reserved, or take off what was reserved
 * and not used; before counters_flush().  Uses of a code without a cap go to its
 * row when nobody holds it.
 */
void
caps_flush(Caps *caps)
{
	Books	   *books = caps->books;
	Cap		   *cap;
	cap_iterator iterator;
	bool		sees_reserved = false;

	cap_start_iterate(caps->known, &iterator);
	while ((cap = cap_iterate(caps->known, &iterator)) != NULL)
	{
		CounterKey	key = counter_key(cap);
		int64		values[COUNTER_MAX_VALUES] = {cap->added - cap->reserved};

		CHECK_FOR_INTERRUPTS();
		if (values[0] == 0)
			continue;
		if (cap->reserved != 0 && !sees_reserved)
		{
			books_refresh(books);
			sees_reserved = true;
		}
		if (cap->key.kind == CAP_CODE && cap->lowest == NO_LIMIT &&
			!books->append_only && write_code(caps, cap))
			continue;
		counters_add(caps->counters, cap_counter[cap->key.kind], &key, values);
	}
}
