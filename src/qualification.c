/*
 * qualification.c
 *	  The first earning payment: code caps, monthly caps, budgets.
 *
 * CONTRACT section 3.3.  Three things bound what a payment may do: the uses of
 * a code, a referrer's paid invitees of a month, the money of a campaign.  All
 * three are counters beside a limit, and a limit is the one place where
 * payments wait for each other: the row that stands for it is locked first,
 * then the counter is read with a new snapshot.  Without a limit nothing is
 * locked and nothing is read.
 *
 * Locks are taken before the run decides anything, in one order for all
 * sessions: codes, then referrers' accounts, then campaigns, each by id.
 */
#include "qualification.h"

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

/* In the order of locking. */
typedef enum CapKind
{
	CAP_CODE,					/* uses of a code */
	CAP_MONTH,					/* paid invitees of a referrer in a month */
	CAP_BUDGET					/* money of a campaign */
} CapKind;

/* The table whose row stands for the cap, and the counter beside it. */
static const TableId cap_table[] = {TABLE_CODE, TABLE_ACCOUNT, TABLE_CAMPAIGN};
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
	bool		is_known;		/* `used` is valid */
	int64		limit;			/* or NO_LIMIT */
	int64		used;			/* as the books say */
	int64		added;			/* by this run */
	int64		row_used;		/* CAP_CODE: the part of `used` in the row */
	ItemPointerData tid;		/* CAP_CODE */
} Cap;

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
};

/*
 * Begin a run with no cap looked at yet; everything lives in the run's memory.
 */
Caps *
caps_begin(Books *books, Counters *counters)
{
	Caps	   *caps = MemoryContextAlloc(books->context, sizeof(Caps));

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

/*
 * Put the row that stands for the cap into its table's row; false when there
 * is none.
 */
static bool
find_cap_row(Caps *caps, const Cap *cap)
{
	Datum		key[2] = {Int64GetDatum(cap->key.program_id),
	Int64GetDatum(cap->key.id)};

	return table_find_any(caps->books,
						  books_table(caps->books, cap_table[cap->key.kind]),
						  2, key);
}

static void
read_code(Cap *cap, Table *table)
{
	cap->limit = row_is_null(table, CODE_CAP) ? NO_LIMIT : row_int64(table, CODE_CAP);
	cap->row_used = row_int64(table, CODE_USED);
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
		cap->is_known = false;
		cap->added = 0;
		cap->limit = NO_LIMIT;
		if (kind == CAP_CODE && find_cap_row(caps, cap))
			read_code(cap, books_table(caps->books, TABLE_CODE));
	}

	/* Two campaigns may allow one referrer different numbers. */
	if (kind != CAP_CODE)
		cap->limit = configured_limit(payer, kind);
	return cap;
}

/*
 * A payment of this payer may be bounded: note what caps_lock() must lock.
 */
void
caps_want(Caps *caps, const Payer *payer, DateADT month)
{
	if (!payer->is_qualified)
	{
		(void) find_cap(caps, payer, CAP_CODE, 0);
		if (configured_limit(payer, CAP_MONTH) != NO_LIMIT)
			(void) find_cap(caps, payer, CAP_MONTH, month);
	}
	if (configured_limit(payer, CAP_BUDGET) != NO_LIMIT)
		(void) find_cap(caps, payer, CAP_BUDGET, 0);
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
	return (x->id > y->id) - (x->id < y->id);
}

/*
 * Lock the rows of all caps that are limited.  Returns whether there were any;
 * the caller then refreshes the books.
 */
bool
caps_lock(Caps *caps)
{
	Cap		  **limited;
	Cap		   *cap;
	cap_iterator iterator;
	int			n = 0;

	if (caps->known->members == 0)
		return false;

	limited = MemoryContextAllocHuge(caps->books->context,
									 caps->known->members * sizeof(Cap *));
	cap_start_iterate(caps->known, &iterator);
	while ((cap = cap_iterate(caps->known, &iterator)) != NULL)
	{
		if (cap->limit != NO_LIMIT)
			limited[n++] = cap;
	}
	qsort(limited, n, sizeof(Cap *), compare_caps);

	for (int i = 0; i < n; i++)
	{
		Table	   *table = books_table(caps->books, cap_table[limited[i]->key.kind]);

		CHECK_FOR_INTERRUPTS();
		if (!find_cap_row(caps, limited[i]))
			continue;
		table_lock(caps->books, table);
		if (limited[i]->key.kind == CAP_CODE)
			read_code(limited[i], table);
	}
	return n > 0;
}

/* What is left of the cap; its row is locked. */
static int64
cap_left(Caps *caps, Cap *cap)
{
	if (cap->limit == NO_LIMIT)
		return PG_INT64_MAX;
	if (!cap->is_known)
	{
		CounterKey	key = {{cap->key.program_id, cap->key.id, cap->key.month}};

		cap->used = counters_sum(caps->books, cap_counter[cap->key.kind], &key,
								 cap->key.kind == CAP_MONTH ? 3 : 2, 0);
		if (cap->key.kind == CAP_CODE)
			cap->used = money_add(cap->used, cap->row_used);
		cap->is_known = true;
	}
	if (cap->limit <= cap->used)
		return 0;
	return Max(cap->limit - cap->used - cap->added, 0);
}

/*
 * The payer's first earning payment: take a place under each cap, or return
 * false, with nothing taken, when one of them is used up.
 */
bool
caps_qualify(Caps *caps, const Payer *payer, DateADT month)
{
	CounterKey	key = {{payer->program->program_id, payer->referrer_id, month}};
	int64		one[COUNTER_MAX_VALUES] = {1};

	if (cap_left(caps, find_cap(caps, payer, CAP_CODE, 0)) == 0)
		return false;
	if (configured_limit(payer, CAP_MONTH) != NO_LIMIT &&
		cap_left(caps, find_cap(caps, payer, CAP_MONTH, month)) == 0)
		return false;
	if (configured_limit(payer, CAP_BUDGET) != NO_LIMIT &&
		cap_left(caps, find_cap(caps, payer, CAP_BUDGET, 0)) == 0)
		return false;

	find_cap(caps, payer, CAP_CODE, 0)->added++;
	find_cap(caps, payer, CAP_MONTH, month)->added++;
	counters_add(caps->counters, TABLE_INVITED, &key, one);
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
	int64		values[COUNTER_MAX_VALUES] = {0};
	int128		total = 0;

	if (payer->campaign_id == 0)
		return true;
	for (int i = 0; i < namounts; i++)
		total += amounts[i];
	if (total == 0)
		return true;
	if (configured_limit(payer, CAP_BUDGET) != NO_LIMIT)
	{
		Cap		   *cap = find_cap(caps, payer, CAP_BUDGET, 0);

		if (total > cap_left(caps, cap))
			return false;
		cap->added += (int64) total;
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
	return table_update(caps->books, table, cap->limit != NO_LIMIT);
}

/*
 * Write the uses of codes; before counters_flush().  With a cap the row is
 * locked and takes them; without, only when nobody holds it.
 */
void
caps_flush(Caps *caps)
{
	Cap		   *cap;
	cap_iterator iterator;

	cap_start_iterate(caps->known, &iterator);
	while ((cap = cap_iterate(caps->known, &iterator)) != NULL)
	{
		CounterKey	key = {{cap->key.program_id, cap->key.id}};

		CHECK_FOR_INTERRUPTS();
		if (cap->key.kind != CAP_CODE || cap->added == 0)
			continue;
		if ((cap->limit == NO_LIMIT && caps->books->append_only) ||
			!write_code(caps, cap))
			counters_add(caps->counters, TABLE_CODE_USE, &key, &cap->added);
	}
}
