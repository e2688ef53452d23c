/*
 * funnel.c
 *	  How many attributions came how far, per day and campaign.
 *
 * The engine counts what payments bring about; clicks, sign-ups and decisions
 * are counted from SQL.  Like everything that many sessions add to, these are
 * counters of parts: nobody waits.
 */
#include "postgres.h"

#include "calendar.h"
#include "fmgr.h"
#include "funnel.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/lsyscache.h"

/* In the order of FunnelStage. */
static const char *const stage_column[FUNNEL_STAGES] = {
	"clicks", "attributed", "review_required", "rejected",
	"qualified", "rewarded", "granted", "capped"
};

/*
 * Count that a payer's attribution came to a stage, on the day it was made.  A
 * data model that has no funnel yet counts it when install() brings it.
 */
void
funnel_count(Books *books, Counters *counters, const Payer *payer,
			 FunnelStage stage)
{
	CounterKey	key = {{payer->program->program_id,
		calendar_day(payer->attributed_at, payer->program->zone),
	payer->campaign_id, payer->utm_key}};
	int64		values[COUNTER_MAX_VALUES] = {0};

	if (!table_is_there(books->namespace, TABLE_FUNNEL))
		return;
	values[stage] = 1;
	counters_add(counters, TABLE_FUNNEL, &key, values);
}

static FunnelStage
stage_of(text *name)
{
	char	   *column = text_to_cstring(name);

	for (int stage = 0; stage < FUNNEL_STAGES; stage++)
	{
		if (strcmp(column, stage_column[stage]) == 0)
			return stage;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("stage of the funnel is not known"),
			 errdetail("Table funnel has no counter \"%s\".", column)));
}

PG_FUNCTION_INFO_V1(referral_count_funnel);

/*
 * count_funnel(program_id, day, campaign_id, utm_key, stage, change)
 */
Datum
referral_count_funnel(PG_FUNCTION_ARGS)
{
	CounterKey	key = {{PG_GETARG_INT64(0), PG_GETARG_DATEADT(1),
	PG_GETARG_INT64(2), PG_GETARG_INT64(3)}};
	int64		values[COUNTER_MAX_VALUES] = {0};
	Books	   *books = books_open(get_func_namespace(fcinfo->flinfo->fn_oid));
	Counters   *counters = counters_begin(books);

	values[stage_of(PG_GETARG_TEXT_PP(4))] = PG_GETARG_INT64(5);
	counters_add(counters, TABLE_FUNNEL, &key, values);
	counters_flush(counters);
	books_close(books);
	PG_RETURN_VOID();
}
