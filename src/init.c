/*
 * init.c
 *	  The module: magic block, version, and start-up of the parts that keep
 *	  something per session.
 */
#include "postgres.h"

#include "counters.h"
#include "fmgr.h"
#include "intake.h"
#include "program_cache.h"
#include "tables.h"
#include "utils/builtins.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(referral_library_version);

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	intake_init();
	tables_init();
	program_cache_init();
	counters_init();
}

/*
 * REFERRAL_VERSION is the control file's default_version, so that a library
 * that is newer or older than the SQL it serves can be told.
 */
Datum
referral_library_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(REFERRAL_VERSION));
}
