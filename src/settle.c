/*
 * settle.c
 *	  Accounts and settlement as SQL calls them.
 *
 * Each function locks the member's account to the end of the transaction.  The
 * sums in its row are the caller's: he writes them before he calls.
 */
#include "postgres.h"

#include "account.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

/* One call: a run about one member. */
typedef struct Call
{
	Books	   *books;
	Counters   *counters;
	Accounts   *accounts;
	Account    *account;
} Call;

/*
 * Begin with the account of a member locked and read.  Raises 23503 when there
 * is none.
 */
static Call
call_begin(FunctionCallInfo fcinfo, int64 program_id, int64 member_id)
{
	Call		call;
	const Program *program;

	program_cache_begin();
	call.books = books_open(get_func_namespace(fcinfo->flinfo->fn_oid));
	call.counters = counters_begin(call.books);
	call.accounts = accounts_begin(call.books, call.counters);
	call.account = NULL;
	program = program_find(call.books, program_id);
	if (program)
	{
		call.account = account_find(call.accounts, program, member_id);
		(void) accounts_lock(call.accounts);
	}
	if (!program || !call.account->is_there)
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("member of the books does not exist"),
				 errdetail("Program %lld has no account of member %lld.",
						   (long long) program_id, (long long) member_id)));
	books_refresh(call.books);
	return call;
}

static void
call_end(Call *call)
{
	accounts_flush(call->accounts);
	counters_flush(call->counters);
	books_close(call->books);
}

PG_FUNCTION_INFO_V1(referral_account_available);

/*
 * account_available(program_id, member_id)
 */
Datum
referral_account_available(PG_FUNCTION_ARGS)
{
	Call		call = call_begin(fcinfo, PG_GETARG_INT64(0), PG_GETARG_INT64(1));
	int64		available = account_available(call.accounts, call.account,
											  GetCurrentStatementStartTimestamp());

	call_end(&call);
	PG_RETURN_INT64(available);
}

PG_FUNCTION_INFO_V1(referral_settle);

/*
 * settle(program_id, member_id, kind, settler_no, amount_micro)
 */
Datum
referral_settle(PG_FUNCTION_ARGS)
{
	char	   *kind = text_to_cstring(PG_GETARG_TEXT_PP(2));
	Settler		settler = {CLOSING_SPENT, PG_GETARG_INT64(3)};
	int64		amount_micro = PG_GETARG_INT64(4);
	Call		call;

	if (strcmp(kind, "paid_out") == 0)
		settler.kind = CLOSING_PAID_OUT;
	else if (strcmp(kind, "spent") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("kind of the settlement is not known"),
				 errdetail("It is \"%s\".", kind),
				 errhint("It is 'spent' or 'paid_out'.")));
	if (amount_micro < 0)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("amount of the settlement is negative"),
				 errdetail("It is %lld.", (long long) amount_micro)));

	call = call_begin(fcinfo, PG_GETARG_INT64(0), PG_GETARG_INT64(1));
	account_settle(call.accounts, call.account, &settler, amount_micro);
	call_end(&call);
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(referral_unsettle);

/*
 * unsettle(program_id, member_id, settler_no)
 */
Datum
referral_unsettle(PG_FUNCTION_ARGS)
{
	Settler		settler = {CLOSING_SPENT, PG_GETARG_INT64(2)};
	Call		call = call_begin(fcinfo, PG_GETARG_INT64(0), PG_GETARG_INT64(1));

	account_unsettle(call.accounts, call.account, &settler);
	call_end(&call);

	/* What is owed may have the rewards that are open again: a run that sees them. */
	call = call_begin(fcinfo, PG_GETARG_INT64(0), PG_GETARG_INT64(1));
	account_settle(call.accounts, call.account, NULL, 0);
	call_end(&call);
	PG_RETURN_VOID();
}
