/*
 * payers.c
 *	  Payers and their attributions: who referred them, what became of it.
 *
 * One descent by the user's id says whether a payment concerns anybody.  The
 * row also carries the "first payment" flag, which must be exact: whoever may
 * change it is locked before the run decides anything, in one order for all
 * sessions, so that two payments of one payer wait for each other and never
 * deadlock.  A payer who has been rewarded already is not locked.
 */
#include "payers.h"

#include "miscadmin.h"
#include "sorted_index.h"
#include "text_key.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Column numbers of sql/model/020_member.sql. */
enum
{
	ATTRIBUTION_ID = 2,
	ATTRIBUTION_MEMBER_ID = 3,
	ATTRIBUTION_REFERRER_ID = 4,
	ATTRIBUTION_CODE_ID = 5,
	ATTRIBUTION_CAMPAIGN_ID = 6,
	ATTRIBUTION_ATTRIBUTED_AT = 7,
	ATTRIBUTION_QUALIFIED_AT = 8,
	ATTRIBUTION_REWARDED_AT = 9,
	ATTRIBUTION_DECISION = 10,

	/* 100_click.sql */
	ATTRIBUTION_UTM_KEY = 15,
	ATTRIBUTION_FIRST_PAYMENT_NO = 17
};

typedef struct PayerEntry
{
	TextKey		key;
	uint32		hash;
	char		status;
	Payer	   *payer;
} PayerEntry;

#define SH_PREFIX seen
#define SH_ELEMENT_TYPE PayerEntry
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

/* A growing list of payers. */
typedef struct PayerList
{
	Payer	  **payer;
	int			n;
	int			size;
} PayerList;

struct Payers
{
	Books	   *books;
	seen_hash  *seen;
	PayerList	noted;			/* to be read by payers_read() */
	PayerList	to_lock;
	PayerList	changed;
};

static void
list_append(Payers *payers, PayerList *list, Payer *payer)
{
	if (list->n == list->size)
	{
		list->size = list->size ? 2 * list->size : 8;
		list->payer = list->payer
			? repalloc_huge(list->payer, list->size * sizeof(Payer *))
			: MemoryContextAlloc(payers->books->context,
								 list->size * sizeof(Payer *));
	}
	list->payer[list->n++] = payer;
}

/*
 * Begin a run with no payer read yet; everything lives in the run's memory.
 */
Payers *
payers_begin(Books *books)
{
	Payers	   *payers = MemoryContextAllocZero(books->context, sizeof(Payers));

	payers->books = books;
	payers->seen = seen_create(books->context, 8, NULL);
	return payers;
}

static Decision
decision_of(Table *table)
{
	bool		isnull;
	Datum		value = row_datum(table, ATTRIBUTION_DECISION, &isnull);
	text	   *decision;

	if (isnull)
		return DECISION_NONE;
	decision = DatumGetTextPP(value);
	switch (VARDATA_ANY(decision)[2])	/* re[v]iew_required, re[j]ected,
										 * ca[p]ped: the CHECK allows no other */
	{
		case 'v':
			return DECISION_REVIEW_REQUIRED;
		case 'j':
			return DECISION_REJECTED;
		default:
			return DECISION_CAPPED;
	}
}

/* Has the data model the columns of 100_click.sql? */
static bool
knows_clicks(const Table *table)
{
	return RelationGetDescr(table->rel)->natts >= ATTRIBUTION_FIRST_PAYMENT_NO;
}

static void
read_attribution(Payer *payer, Table *table)
{
	payer->attribution_id = row_int64(table, ATTRIBUTION_ID);
	payer->member_id = row_int64(table, ATTRIBUTION_MEMBER_ID);
	payer->referrer_id = row_int64(table, ATTRIBUTION_REFERRER_ID);
	payer->code_id = row_int64(table, ATTRIBUTION_CODE_ID);
	payer->campaign_id = row_int64(table, ATTRIBUTION_CAMPAIGN_ID);
	payer->attributed_at = row_int64(table, ATTRIBUTION_ATTRIBUTED_AT);
	payer->is_qualified = !row_is_null(table, ATTRIBUTION_QUALIFIED_AT);
	payer->qualified_at = row_int64(table, ATTRIBUTION_QUALIFIED_AT);
	payer->is_rewarded = !row_is_null(table, ATTRIBUTION_REWARDED_AT);
	payer->rewarded_at = row_int64(table, ATTRIBUTION_REWARDED_AT);
	payer->decision = decision_of(table);
	if (knows_clicks(table))
		payer->utm_key = row_int64(table, ATTRIBUTION_UTM_KEY);
	payer->tid = table->row->tts_tid;
}

/* The payer with that id, not read yet if he is new to the run. */
static Payer *
meet_payer(Payers *payers, const Program *program, Datum user_id, bool *is_new)
{
	TextKey		key = text_key(program->program_id, DatumGetTextPP(user_id));
	PayerEntry *entry = seen_lookup(payers->seen, key);
	Payer	   *payer;
	bool		found;

	*is_new = entry == NULL;
	if (entry)
		return entry->payer;

	payer = MemoryContextAllocZero(payers->books->context,
								   sizeof(Payer) + VARHDRSZ + key.length);
	payer->user_id = (text *) (payer + 1);
	SET_VARSIZE(payer->user_id, VARHDRSZ + key.length);
	memcpy(VARDATA(payer->user_id), key.text, key.length);
	payer->program = program;
	payer->earning_payments = -1;

	key.text = VARDATA(payer->user_id);
	entry = seen_insert(payers->seen, key, &found);
	entry->payer = payer;
	return payer;
}

static void
payer_key(const Payer *payer, Datum *key)
{
	key[0] = Int64GetDatum(payer->program->program_id);
	key[1] = PointerGetDatum(payer->user_id);
}

/*
 * Return the payer of a payment; `user_id` is a text that stays where it is
 * only during the call.  Owned by the run.
 */
Payer *
payer_find(Payers *payers, const Program *program, Datum user_id)
{
	Table	   *table = books_table(payers->books, TABLE_ATTRIBUTION);
	bool		is_new;
	Payer	   *payer = meet_payer(payers, program, user_id, &is_new);
	Datum		key[2];

	if (!is_new)
		return payer;
	payer_key(payer, key);
	payer->attributed = table_find_any(payers->books, table, 2, key);
	if (payer->attributed)
		read_attribution(payer, table);
	return payer;
}

/*
 * The same, but what the books say of him is read by payers_read(), of many
 * payers in less time.
 */
Payer *
payer_note(Payers *payers, const Program *program, Datum user_id)
{
	bool		is_new;
	Payer	   *payer = meet_payer(payers, program, user_id, &is_new);

	if (is_new)
		list_append(payers, &payers->noted, payer);
	return payer;
}

/* In the order of the index. */
static int
compare_users(const void *a, const void *b)
{
	const Payer *x = *(Payer *const *) a;
	const Payer *y = *(Payer *const *) b;
	int			x_length = VARSIZE(x->user_id);
	int			y_length = VARSIZE(y->user_id);
	int			order;

	if (x->program->program_id != y->program->program_id)
		return x->program->program_id < y->program->program_id ? -1 : 1;
	order = memcmp(VARDATA(x->user_id), VARDATA(y->user_id),
				   Min(x_length, y_length) - VARHDRSZ);
	return order ? order : x_length - y_length;
}

static void
key_of_noted(const void *state, int i, Datum *key)
{
	const PayerList *noted = state;

	payer_key(noted->payer[i], key);
}

/*
 * Read the payers that were noted.
 */
void
payers_read(Payers *payers)
{
	Table	   *table = books_table(payers->books, TABLE_ATTRIBUTION);
	PayerList  *noted = &payers->noted;
	IndexFind  *told = MemoryContextAllocHuge(payers->books->context,
											  noted->n * sizeof(IndexFind));

	qsort(noted->payer, noted->n, sizeof(Payer *), compare_users);
	index_find_sorted(table_key(table), 2, noted->n, key_of_noted, noted, told);
	for (int i = 0; i < noted->n; i++)
	{
		Payer	   *payer = noted->payer[i];
		Datum		key[2];

		CHECK_FOR_INTERRUPTS();
		payer_key(payer, key);
		payer->attributed = table_find_told(payers->books, table, 2, key, &told[i]);
		if (payer->attributed)
			read_attribution(payer, table);
	}
	noted->n = 0;
	pfree(told);
}

/*
 * Does a payment of that moment concern anybody (CONTRACT section 3.1)?  An
 * attribution expires when nothing qualified within qualify_days; a payment
 * is judged by the moment it occurred.  In review that is not known yet: an
 * earlier payment may wait beside it and qualify once it is approved.
 */
bool
payer_counts(const Payer *payer, TimestampTz occurred_at)
{
	if (!payer->attributed || payer->decision == DECISION_REJECTED ||
		payer->decision == DECISION_CAPPED)
		return false;
	return payer->decision == DECISION_REVIEW_REQUIRED || payer->is_qualified ||
		payer->program->qualify_days == 0 ||
		occurred_at - payer->attributed_at <
		(int64) payer->program->qualify_days * USECS_PER_DAY;
}

/*
 * Have the payer's attribution locked by payers_lock().
 */
void
payer_want_lock(Payers *payers, Payer *payer)
{
	if (!payer->to_lock)
	{
		payer->to_lock = true;
		list_append(payers, &payers->to_lock, payer);
	}
}

static int
compare_payers(const void *a, const void *b)
{
	const Payer *x = *(Payer *const *) a;
	const Payer *y = *(Payer *const *) b;

	if (x->program->program_id != y->program->program_id)
		return x->program->program_id < y->program->program_id ? -1 : 1;
	return (x->attribution_id > y->attribution_id) -
		(x->attribution_id < y->attribution_id);
}

/*
 * Lock the attributions asked for, in the order of their ids, and read them
 * anew.  Returns whether there were any; the caller then refreshes the books.
 */
bool
payers_lock(Payers *payers)
{
	Books	   *books = payers->books;
	Table	   *table = books_table(books, TABLE_ATTRIBUTION);
	PayerList  *list = &payers->to_lock;

	if (list->n > 1)
		qsort(list->payer, list->n, sizeof(Payer *), compare_payers);
	for (int i = 0; i < list->n; i++)
	{
		Payer	   *payer = list->payer[i];

		CHECK_FOR_INTERRUPTS();
		if (!table_fetch(books, table, &payer->tid))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("attribution vanished while a payment needed it")));
		table_lock(books, table);
		read_attribution(payer, table);
	}
	return list->n > 0;
}

/*
 * Have what became of the payer's attribution written by payers_flush().  The
 * payer is locked.
 */
void
payer_change(Payers *payers, Payer *payer)
{
	Assert(payer->to_lock);
	if (!payer->changed)
	{
		payer->changed = true;
		list_append(payers, &payers->changed, payer);
	}
}

/*
 * Write the attributions that changed.
 */
void
payers_flush(Payers *payers)
{
	Books	   *books = payers->books;
	Table	   *table = books_table(books, TABLE_ATTRIBUTION);

	for (int i = 0; i < payers->changed.n; i++)
	{
		Payer	   *payer = payers->changed.payer[i];

		CHECK_FOR_INTERRUPTS();
		if (!table_fetch(books, table, &payer->tid))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("attribution vanished while a payment needed it")));
		table_begin_update(books, table);
		if (payer->is_qualified)
			next_set(table, ATTRIBUTION_QUALIFIED_AT,
					 TimestampTzGetDatum(payer->qualified_at));
		if (payer->first_payment_no != 0 && knows_clicks(table))
			next_set(table, ATTRIBUTION_FIRST_PAYMENT_NO,
					 Int64GetDatum(payer->first_payment_no));
		if (payer->is_rewarded)
			next_set(table, ATTRIBUTION_REWARDED_AT,
					 TimestampTzGetDatum(payer->rewarded_at));
		if (payer->decision == DECISION_CAPPED)
			next_set(table, ATTRIBUTION_DECISION,
					 CStringGetTextDatum("capped"));
		(void) table_update(books, table, true);
	}
}
