/*
 * caller.c
 *	  Who asks through the HTTP server, if he is a member already.
 *
 * This is asked at each request to a published contract.  Who is no member yet,
 * or is to be told why he is refused, is left to SQL.
 */
#include "json_setting.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "parser/parse_func.h"
#include "tables.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

/* Column numbers of table api_grant, sql/model/050_source.sql. */
enum
{
	GRANT_PART = 1,
	GRANT_ROLE_NAME = 2
};

static bool
is_text(Datum datum, const char *word)
{
	text	   *value = DatumGetTextPP(datum);

	return VARSIZE_ANY_EXHDR(value) == strlen(word) &&
		memcmp(VARDATA_ANY(value), word, strlen(word)) == 0;
}

/*
 * Was the login named to grant_api(), and the role as one of members or
 * operators?  The role that SET ROLE put on, which SECURITY DEFINER hides.
 */
static bool
is_granted(Books *books)
{
	const char *login = GetUserNameFromId(GetSessionUserId(), true);
	const char *role = GetConfigOption("role", false, false);
	Table	   *table = books_table(books, TABLE_API_GRANT);
	TableScanDesc scan = table_beginscan(table->rel, books->snapshot, 0, NULL);
	bool		login_found = false;
	bool		role_found = false;

	while (table_scan_getnextslot(scan, ForwardScanDirection, table->row))
	{
		bool		isnull;
		Datum		part = row_datum(table, GRANT_PART, &isnull);
		const char *name = NameStr(*DatumGetName(row_datum(table, GRANT_ROLE_NAME, &isnull)));

		if (is_text(part, "login"))
			login_found |= login && strcmp(name, login) == 0;
		else if (!is_text(part, "anon"))
			role_found |= strcmp(name, role) == 0;
	}
	table_endscan(scan);
	return login_found && role_found;
}

/* One to eighteen digits. */
static bool
program_of(const JsonField *claim, int64 *program_id)
{
	size_t		length = claim->value ? strspn(claim->value, "0123456789") : 0;

	if (length < 1 || length > 18 || claim->value[length] != '\0')
		return false;
	*program_id = strtoll(claim->value, NULL, 10);
	return true;
}

/* The claims name him, and he is a member. */
static bool
find_caller(Oid namespace, Datum *values)
{
	JsonField	claims[2] = {{.name = "sub"}, {.name = "program_id"}};
	Books	   *books;
	int64		program_id;
	bool		found;

	if (!json_setting_fields("request.jwt.claims", claims, 2) ||
		!claims[0].value || !claims[0].is_string ||
		!program_of(&claims[1], &program_id))
		return false;

	values[0] = CStringGetTextDatum(claims[0].value);
	values[1] = Int64GetDatum(program_id);
	books = books_read(namespace);
	found = is_granted(books);
	if (found)
	{
		Datum		key[2] = {values[1], values[0]};

		found = table_find_by(books, books_table(books, TABLE_MEMBER),
							  "member_program_id_user_id_key", 2, key);
	}
	books_close(books);
	return found;
}

static Datum
principal_datum(FunctionCallInfo fcinfo, Datum *values)
{
	bool		nulls[2] = {false};
	TupleDesc	desc;

	(void) get_call_result_type(fcinfo, NULL, &desc);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

PG_FUNCTION_INFO_V1(referral_known_caller);

/*
 * known_caller()
 */
Datum
referral_known_caller(PG_FUNCTION_ARGS)
{
	Datum		values[2];

	if (!find_caller(get_func_namespace(fcinfo->flinfo->fn_oid), values))
		PG_RETURN_NULL();
	return principal_datum(fcinfo, values);
}

PG_FUNCTION_INFO_V1(referral_signed_in);

/*
 * signed_in()
 */
Datum
referral_signed_in(PG_FUNCTION_ARGS)
{
	Oid			namespace = get_func_namespace(fcinfo->flinfo->fn_oid);
	Datum		values[2];

	if (!find_caller(namespace, values))
	{
		List	   *name = list_make1(makeString(get_namespace_name(namespace)));

		name = lappend(name, makeString("sign_in"));
		return OidFunctionCall0(LookupFuncName(name, 0, NULL, false));
	}
	return principal_datum(fcinfo, values);
}
