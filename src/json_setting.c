/*
 * json_setting.c
 *	  What PostgREST says of a request: settings that hold JSON objects.
 *
 * Anybody can SET them to anything.  PL/pgSQL could refuse what is no JSON only
 * by a subtransaction, several for each request.
 */
#include "postgres.h"

#include "common/jsonapi.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"

/* Deeper than a request's headers and a token's claims ever are. */
#define MAX_DEPTH	200

/*
 * Does the text nest too deep?  The parser recurses, and raises an error where
 * it runs out of stack.
 */
static bool
is_too_deep(const char *text)
{
	int			depth = 0;
	bool		in_string = false;

	for (const char *c = text; *c; c++)
	{
		if (in_string)
		{
			if (*c == '\\' && c[1])
				c++;
			else if (*c == '"')
				in_string = false;
		}
		else if (*c == '"')
			in_string = true;
		else if (*c == '[' || *c == '{')
		{
			if (++depth > MAX_DEPTH)
				return true;
		}
		else if (*c == ']' || *c == '}')
			depth--;
	}
	return false;
}

PG_FUNCTION_INFO_V1(referral_json_setting);

/*
 * json_setting(name)
 */
Datum
referral_json_setting(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *value = (char *) GetConfigOption(name, true, false);
	JsonLexContext *lex;
	Datum		object;

	if (!value || !*value || is_too_deep(value))
		PG_RETURN_NULL();
	lex = makeJsonLexContextCstringLen(value, strlen(value),
									   GetDatabaseEncoding(), true);
	if (pg_parse_json(lex, &nullSemAction) != JSON_SUCCESS)
		PG_RETURN_NULL();
	object = DirectFunctionCall1(jsonb_in, CStringGetDatum(value));
	if (!JB_ROOT_IS_OBJECT(DatumGetJsonbP(object)))
		PG_RETURN_NULL();
	return object;
}
