/*
 * program_cache.c
 *	  Configuration of the programs, kept per session.
 *
 * A payment needs its program, tiers, rates and campaigns, which change
 * rarely: each session reads them once.  A statement trigger on the four
 * tables (referral_config_changed) sends a relation-cache invalidation of
 * table program, which reaches every session when the change commits; the
 * callback only sets a flag, and the next run of the engine starts over.
 */
#include "program_cache.h"

#include "money.h"

#include "commands/trigger.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* Column numbers of sql/model/010_program.sql. */
enum
{
	PROGRAM_HOLD_DAYS = 4,
	PROGRAM_TIME_ZONE = 5,
	PROGRAM_MAX_LEVEL = 6,
	PROGRAM_QUALIFY_DAYS = 8,
	PROGRAM_EARNING_DAYS = 9,
	PROGRAM_REFERRER_MONTHLY_CAP = 10,
	PROGRAM_DEBT_POLICY = 12,
	PROGRAM_AUTO_TIER = 13,
	PROGRAM_USES_GRANTS = 14,
	PROGRAM_ACTIVE = 15,
	PROGRAM_EVENT_DAYS = 20,	/* 120_event.sql */

	TIER_TIER = 2,
	TIER_LABEL = 3,
	TIER_MIN_PAID_INVITEES = 4,

	CAMPAIGN_ID = 2,
	CAMPAIGN_REFERRER_MONTHLY_CAP = 7,
	CAMPAIGN_BUDGET_MICRO = 8,

	RATE_CAMPAIGN_ID = 2,
	RATE_TIER = 3,
	RATE_LEVEL = 4,
	RATE_RATE_BPS = 5,
	RATE_FLAT_MICRO = 6,
	RATE_MAX_PAYMENTS = 7
};

typedef struct ProgramEntry
{
	int64		program_id;		/* hash key */
	Program    *program;		/* set last, so an error leaves no half entry */
} ProgramEntry;

static MemoryContext cache_context = NULL;
static HTAB *programs = NULL;
static bool cache_is_stale = false;
static Oid	program_relid = InvalidOid;

static void
program_changed(Datum arg, Oid relid)
{
	if (relid == InvalidOid || relid == program_relid)
		cache_is_stale = true;
}

/*
 * Register what this module needs per session.  Called once, from _PG_init().
 */
void
program_cache_init(void)
{
	CacheRegisterRelcacheCallback(program_changed, (Datum) 0);
}

/*
 * Begin a run of the engine: from here on program_find() gives what is
 * committed now, and what it returns stays valid until the next run begins.
 */
void
program_cache_begin(void)
{
	AcceptInvalidationMessages();
	if (cache_is_stale && cache_context)
	{
		MemoryContextDelete(cache_context);
		cache_context = NULL;
	}
	cache_is_stale = false;

	if (!cache_context)
	{
		HASHCTL		info = {.keysize = sizeof(int64),
		.entrysize = sizeof(ProgramEntry)};

		programs = NULL;
		cache_context = AllocSetContextCreate(CacheMemoryContext,
											  "referral programs",
											  ALLOCSET_DEFAULT_SIZES);
		info.hcxt = cache_context;
		programs = hash_create("referral programs", 16, &info,
							   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
}

static int64
limit_of(Table *table, AttrNumber attnum, bool is_int64)
{
	if (row_is_null(table, attnum))
		return NO_LIMIT;
	return is_int64 ? row_int64(table, attnum) : row_int32(table, attnum);
}

static DebtPolicy
debt_policy_of(const char *policy)
{
	if (strcmp(policy, "within_balance") == 0)
		return DEBT_WITHIN_BALANCE;
	return strcmp(policy, "only_pending") == 0 ? DEBT_ONLY_PENDING : DEBT_UNLIMITED;
}

/* The row of table program is in program_table->row. */
static void
read_program(Table *program_table, Program *program)
{
	char	   *zone_name;
	bool		isnull;

	program->program_id = row_int64(program_table, 1);
	program->hold_days = row_int32(program_table, PROGRAM_HOLD_DAYS);
	program->max_level = row_int32(program_table, PROGRAM_MAX_LEVEL);
	program->qualify_days = row_int32(program_table, PROGRAM_QUALIFY_DAYS);
	program->earning_days = row_int32(program_table, PROGRAM_EARNING_DAYS);
	program->referrer_monthly_cap = limit_of(program_table, PROGRAM_REFERRER_MONTHLY_CAP, false);
	program->debt_policy =
		debt_policy_of(TextDatumGetCString(row_datum(program_table, PROGRAM_DEBT_POLICY, &isnull)));
	program->uses_grants = DatumGetBool(row_datum(program_table, PROGRAM_USES_GRANTS, &isnull));
	program->auto_tier = DatumGetBool(row_datum(program_table, PROGRAM_AUTO_TIER, &isnull));
	program->active = DatumGetBool(row_datum(program_table, PROGRAM_ACTIVE, &isnull));
	program->keeps_events =
		RelationGetDescr(program_table->rel)->natts >= PROGRAM_EVENT_DAYS &&
		!row_is_null(program_table, PROGRAM_EVENT_DAYS);

	zone_name = TextDatumGetCString(row_datum(program_table, PROGRAM_TIME_ZONE, &isnull));
	program->zone = pg_tzset(zone_name);
	if (!program->zone)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone of the program is not known"),
				 errdetail("Program %lld has time zone \"%s\".",
						   (long long) program->program_id, zone_name)));
}

static int
compare_tiers(const void *a, const void *b)
{
	int32		x = ((const Tier *) a)->tier;
	int32		y = ((const Tier *) b)->tier;

	return (x > y) - (x < y);
}

/* By level, then (campaign, tier) > (campaign, 0) > (0, tier) > (0, 0). */
static int
compare_rates(const void *a, const void *b)
{
	const Rate *x = a;
	const Rate *y = b;

	if (x->level != y->level)
		return x->level < y->level ? -1 : 1;
	if ((x->campaign_id == 0) != (y->campaign_id == 0))
		return x->campaign_id != 0 ? -1 : 1;
	if ((x->tier == 0) != (y->tier == 0))
		return x->tier != 0 ? -1 : 1;
	return 0;
}

/*
 * Room for one more element in an array that grows by doubling.
 */
static void *
grow(void *array, int n, Size size)
{
	if (n == 0)
		return palloc(8 * size);
	if (n >= 8 && (n & (n - 1)) == 0)
		return repalloc(array, size * 2 * n);
	return array;
}

static void
read_tiers(Books *books, Program *program)
{
	Table	   *table = books_table(books, TABLE_TIER);
	Datum		key = Int64GetDatum(program->program_id);

	for (bool found = table_find(books, table, 1, &key); found;
		 found = table_find_next(table, 1))
	{
		Tier	   *tier;
		bool		isnull;

		program->tiers = grow(program->tiers, program->ntiers, sizeof(Tier));
		tier = &program->tiers[program->ntiers++];
		tier->tier = row_int32(table, TIER_TIER);
		tier->min_paid_invitees = row_int64(table, TIER_MIN_PAID_INVITEES);
		tier->label = TextDatumGetCString(row_datum(table, TIER_LABEL, &isnull));
	}
	qsort(program->tiers, program->ntiers, sizeof(Tier), compare_tiers);
}

static void
read_campaigns(Books *books, Program *program)
{
	Table	   *table = books_table(books, TABLE_CAMPAIGN);
	Datum		key = Int64GetDatum(program->program_id);

	for (bool found = table_find(books, table, 1, &key); found;
		 found = table_find_next(table, 1))
	{
		Campaign   *campaign;

		program->campaigns = grow(program->campaigns, program->ncampaigns,
								  sizeof(Campaign));
		campaign = &program->campaigns[program->ncampaigns++];
		campaign->campaign_id = row_int64(table, CAMPAIGN_ID);
		campaign->referrer_monthly_cap =
			limit_of(table, CAMPAIGN_REFERRER_MONTHLY_CAP, false);
		campaign->budget_micro = limit_of(table, CAMPAIGN_BUDGET_MICRO, true);
	}
}

static void
read_rates(Books *books, Program *program)
{
	Table	   *table = books_table(books, TABLE_RATE);
	Datum		key = Int64GetDatum(program->program_id);

	for (bool found = table_find(books, table, 1, &key); found;
		 found = table_find_next(table, 1))
	{
		Rate	   *rate;

		program->rates = grow(program->rates, program->nrates, sizeof(Rate));
		rate = &program->rates[program->nrates++];
		rate->campaign_id = row_int64(table, RATE_CAMPAIGN_ID);
		rate->tier = row_int32(table, RATE_TIER);
		rate->level = row_int32(table, RATE_LEVEL);
		rate->rate_bps = row_int32(table, RATE_RATE_BPS);
		rate->flat_micro = row_int64(table, RATE_FLAT_MICRO);
		rate->max_payments = row_int32(table, RATE_MAX_PAYMENTS);
		program->counts_payments |= rate->max_payments > 0;
		program->rewards_payer |= rate->level == 0;
	}
	qsort(program->rates, program->nrates, sizeof(Rate), compare_rates);
	for (int i = program->nrates - 1; i >= 0; i--)
		program->rate_from[program->rates[i].level] = i;
}

/*
 * Return the program, or NULL when there is none with this id.  Owned by the
 * cache.
 */
const Program *
program_find(Books *books, int64 program_id)
{
	ProgramEntry *entry;
	Program    *program;
	Table	   *table;
	Datum		key = Int64GetDatum(program_id);
	MemoryContext old;

	entry = hash_search(programs, &program_id, HASH_FIND, NULL);
	if (entry && entry->program)
		return entry->program;

	program_relid = table_oid(books->namespace, TABLE_PROGRAM);
	table = books_table(books, TABLE_PROGRAM);
	if (!table_find(books, table, 1, &key))
		return NULL;

	old = MemoryContextSwitchTo(cache_context);
	program = palloc0(sizeof(Program));
	read_program(table, program);
	read_tiers(books, program);
	read_campaigns(books, program);
	read_rates(books, program);
	entry = hash_search(programs, &program_id, HASH_ENTER, NULL);
	entry->program = program;
	MemoryContextSwitchTo(old);
	return program;
}

/*
 * Return the program for a run that only reads, or NULL: the cached one, which
 * is what is committed last, whatever the run sees of the rest.
 */
const Program *
program_for_reading(Books *books, int64 program_id)
{
	Snapshot	seen = books->snapshot;
	const Program *program;

	program_cache_begin();
	books->snapshot = RegisterSnapshot(GetLatestSnapshot());
	program = program_find(books, program_id);
	books_forget_scans(books);
	UnregisterSnapshot(books->snapshot);
	books->snapshot = seen;
	return program;
}

/*
 * Return the campaign, or NULL for campaign 0 and for one that is gone.
 */
const Campaign *
program_campaign(const Program *program, int64 campaign_id)
{
	for (int i = 0; i < program->ncampaigns; i++)
	{
		if (program->campaigns[i].campaign_id == campaign_id)
			return &program->campaigns[i];
	}
	return NULL;
}

/*
 * Return the tier of a member whom the rules may move (CONTRACT section 3.5):
 * never below what he has, nor below the lowest there is.
 */
int32
program_tier(const Program *program, int32 stored_tier, int64 paid_invitees)
{
	int32		tier = stored_tier;

	for (int i = 0; i < program->ntiers; i++)
	{
		if (program->tiers[i].tier > tier &&
			(i == 0 || (program->auto_tier &&
						program->tiers[i].min_paid_invitees <= paid_invitees)))
			tier = program->tiers[i].tier;
	}
	return tier;
}

/*
 * Does it matter to a member with this tier how many of his invitees paid?
 */
bool
program_tier_can_rise(const Program *program, int32 stored_tier,
					  int64 invitees)
{
	return program_tier(program, stored_tier, invitees) >
		program_tier(program, stored_tier, 0);
}

/*
 * Return the one rate that holds, or NULL (CONTRACT section 1, table rate).
 */
const Rate *
program_rate(const Program *program, int64 campaign_id, int32 tier, int32 level)
{
	for (int i = program->rate_from[level]; i < program->nrates; i++)
	{
		const Rate *rate = &program->rates[i];

		if (rate->level != level)
			break;
		if ((rate->campaign_id == 0 || rate->campaign_id == campaign_id) &&
			(rate->tier == 0 || rate->tier == tier))
			return rate;
	}
	return NULL;
}

/*
 * Return what all rewards of one payment cannot exceed, whoever stands above
 * the payer with whichever tier.
 */
int128
program_most_rewards(const Program *program, int64 campaign_id, int64 base_micro)
{
	int128		most[REFERRAL_MAX_LEVEL + 1] = {0};
	int128		total = 0;

	for (int i = 0; i < program->nrates; i++)
	{
		const Rate *rate = &program->rates[i];
		int128		share = money_share(base_micro, rate->rate_bps, rate->flat_micro);

		if ((rate->campaign_id == 0 || rate->campaign_id == campaign_id) &&
			share > most[rate->level])
			most[rate->level] = share;
	}
	for (int level = 0; level <= program->max_level; level++)
		total += most[level];
	return total;
}

PG_FUNCTION_INFO_V1(referral_config_changed);

/*
 * Statement trigger of program, tier, rate and campaign.
 */
Datum
referral_config_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager",
						"config_changed")));
	CacheInvalidateRelcacheByRelid(table_oid(RelationGetNamespace(trigger->tg_relation),
											 TABLE_PROGRAM));
	return PointerGetDatum(NULL);
}
