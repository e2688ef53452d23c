/*
 * init.c
 *	  The module: magic block and start-up.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(referral_library_version);

/*
 * REFERRAL_VERSION is the control file's default_version, so that a library
 * that is newer or older than the SQL it serves can be told.
 */
Datum
referral_library_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(REFERRAL_VERSION));
}
