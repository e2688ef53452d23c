/*
 * init.c
 *	  The module: magic block and start-up of the parts that keep something
 *	  per session.
 */
#include "postgres.h"

#include "counters.h"
#include "fmgr.h"
#include "intake.h"
#include "program_cache.h"
#include "tables.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	intake_init();
	tables_init();
	program_cache_init();
	counters_init();
}
