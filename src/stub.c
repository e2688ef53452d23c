/* placeholder until the engine lands; not kept */
#include "postgres.h"
#include "commands/trigger.h"
#include "fmgr.h"
PG_FUNCTION_INFO_V1(referral_payment_before);
PG_FUNCTION_INFO_V1(referral_payment_after);
PG_FUNCTION_INFO_V1(referral_config_changed);
PG_FUNCTION_INFO_V1(referral_take_in);
PG_FUNCTION_INFO_V1(referral_count_downline);
Datum referral_payment_before(PG_FUNCTION_ARGS) { return PointerGetDatum(NULL); }
Datum referral_payment_after(PG_FUNCTION_ARGS) { return PointerGetDatum(NULL); }
Datum referral_config_changed(PG_FUNCTION_ARGS) { return PointerGetDatum(NULL); }
Datum referral_take_in(PG_FUNCTION_ARGS) { PG_RETURN_INT64(0); }
Datum referral_count_downline(PG_FUNCTION_ARGS) { PG_RETURN_VOID(); }
